"""A camera that shows an endless film in real time, whoever watches, and notes what it sends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from tests.live.film import Film
from tests.live.rtsp_server import RtspServer, Viewer

PAYLOAD = 1400  # bytes of a packet, as cameras send them
PHASE = 0.618  # of a period, between two cameras: real ones are not in step
_printing = threading.Lock()


class Broadcast:
    """Shows picture `n` of `reel`, which begins again after its end, `n` periods after the start.

    `smaller` is another film of as many pictures. `server` shows them as `play` says; `has_failed` is for plays that
    fail once.
    """

    def __init__(self, camera: int, reel: Film, smaller: Film, play: Callable[[Broadcast, Viewer], None]) -> None:
        self.reel, self.smaller, self.rate, self._camera = reel, smaller, reel.rate, camera
        self.server = RtspServer(partial(play, self), reel=reel)
        self.has_failed = False
        self._began_s = time.monotonic() + PHASE * camera % 1 / float(self.rate)

    def due(self, viewer: Viewer) -> Iterator[int]:
        """Yield the numbers of the pictures when they are due, from the next key frame on, until the viewer goes."""
        viewer.largest_payload = PAYLOAD
        number = int((time.monotonic() - self._began_s) * self.rate) + 1
        while not self.reel.is_key(number % len(self.reel.units)):
            number += 1
        while not viewer.left.wait(max(self._began_s + float(number / self.rate) - time.monotonic(), 0)):
            yield number
            number += 1

    def send(self, viewer: Viewer, number: int) -> None:
        """Send picture `number`, and note when."""
        self.note(str(number))
        viewer.send_units(viewer.reel.access_unit(number % len(self.reel.units)), number)

    def note(self, word: str) -> None:
        """Print a line that tells what happens now."""
        with _printing:
            print(self._camera, word, f"{time.monotonic():.6f}", flush=True)
