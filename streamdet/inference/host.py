"""Sessions that compute on the host: frames are fitted by the run's own thread, and each slot has a thread.

Two images side by side keep all cores busier than one image spread over them, whose layers are too small to split
evenly: each slot computes one image with its share of the cores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any

from streamdet.errors import StreamdetError
from streamdet.inference.session import Request
from streamdet.inference.worker import Worker
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.machine import images_in_flight
from streamdet.types import Float32Array, Frame, ToDevice, UInt8Array

# Begins on an image uint8 (h, w, 3), as it was staged; what it returns is called for the rows f32 (A, 6), in memory of
# their own, and may take as long as it likes.
Start = Callable[[UInt8Array], Callable[[], Float32Array]]


class HostSession:
    """What sessions whose slots are threads have in common; see `streamdet.inference.session.Session`."""

    device = "cpu"
    selects = False

    def __init__(self) -> None:
        self.parallel = images_in_flight()

    @property
    def to_device(self) -> ToDevice | None:
        """None: pictures stay where they were decoded."""
        return None

    def stage(self, frame: Frame, letterbox: Letterbox) -> Any:
        """Return the image of `frame`, fitted into a canvas uint8 (h, w, 3)."""
        return letterboxed(frame.image, letterbox)

    def close(self) -> None:
        """Let go of what was made of the model."""


class ThreadSlot:
    """One image in flight: `start` begins on it, and a thread, which has called `prepare`, waits for its rows."""

    def __init__(self, start: Start, prepare: Callable[[], None] = lambda: None) -> None:
        self._start = start
        self._outcomes: SimpleQueue[list[Float32Array] | BaseException] = SimpleQueue()
        self._worker = Worker("slot")
        self._worker.call(prepare)

    def submit(self, requests: Sequence[Request], done: Callable[[], None]) -> None:
        """Start on a batch of one; see `Slot`."""
        (request,) = requests
        if not self._worker.call(partial(self._finish, self._started(request.staged), done)):
            self._outcomes.put(StreamdetError("expected a slot that computes, found one that was closed"))
            done()

    def collect(self) -> list[Float32Array]:
        """Wait for the thread; see `Slot`."""
        outcome = self._outcomes.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def close(self) -> None:
        """End the thread after the image that it is busy with."""
        self._worker.close()

    def _started(self, image: UInt8Array) -> Callable[[], Float32Array]:
        try:
            return self._start(image)
        except Exception as error:
            return partial(_raise, error)

    def _finish(self, finish: Callable[[], Float32Array], done: Callable[[], None]) -> None:
        try:
            self._outcomes.put([finish()])
        except BaseException as error:  # whatever it is, it belongs to the one who collects
            self._outcomes.put(error)
        done()


def _raise(error: Exception) -> Float32Array:
    raise error
