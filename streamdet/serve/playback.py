"""A video file that is played as if it were a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from streamdet.errors import SourceEnded
from streamdet.pipeline.line import FrameSource
from streamdet.types import Frame, ToDevice


class Playback:
    """The frames of `source`, a file, each at its time after the first one; a live source that ends with SourceEnded.

    A reader that is late gets the frames that it has missed without waiting. `now_s` and `wait` replace the clock, as
    in `streamdet.pipeline.camera.Camera`.
    """

    audio_from: str | None = None

    def __init__(
        self,
        source: FrameSource,
        *,
        now_s: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.id, self.info = source.id, replace(source.info, live=True, frame_count=None)
        self._source, self._now_s = source, now_s
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._began_s: float | None = None  # when a frame of time 0 was due

    @property
    def warnings(self) -> list[str]:
        """One sentence for each problem with the file so far."""
        return self._source.warnings

    def keep_on_device(self, to_device: ToDevice | None) -> None:
        """Let `to_device` make the images of pictures that a GPU decodes."""
        self._source.keep_on_device(to_device)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        """Wait until the next frame is due, and return it; raises SourceEnded after the last one."""
        try:
            frame = next(self._source)
        except StopIteration:
            if self._stopped.is_set():
                raise
            raise SourceEnded(f"expected {self.id} to go on, but the file ended") from None
        if self._began_s is None:
            self._began_s = self._now_s() - float(frame.time)
        due_s = self._began_s + float(frame.time)
        if self._wait(max(due_s - self._now_s(), 0.0)):
            raise StopIteration
        return replace(frame, received_at=max(due_s, self._now_s()))

    def stop(self) -> None:
        """End the iteration soon; may be called from any thread, and does not wait."""
        self._stopped.set()
        self._source.stop()

    def close(self) -> None:
        """Close the file."""
        self.stop()
        self._source.close()
