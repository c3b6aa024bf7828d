"""A run whose images come one by one from a loop of the caller's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from queue import SimpleQueue
from typing import Any, Self

import numpy as np

from streamdet.data.images import to_image
from streamdet.errors import InputError
from streamdet.fields import option_fields
from streamdet.options import LoopOptions, Order, RunOptions
from streamdet.pipeline.opening import SourceLike
from streamdet.pipeline.run import Run, RunStats
from streamdet.result import Result
from streamdet.tracking.state import RunState
from streamdet.types import Frame, ToDevice, VideoInfo
from streamdet.video.images import NOMINAL_RATE


class Loop:
    """Tracks one image after the other, as a `Run` over them does, and is a context manager; see `Pipeline.loop`.

    ```python
    import streamdet

    with streamdet.Pipeline() as pipeline, pipeline.loop(classes="person") as run:
        for frame in streamdet.open_source("street.mp4"):  # or your own camera
            result = run.track(frame.image, frame.time)
            print(result.tracks.ids)
    ```
    """

    def __init__(self, options: LoopOptions, new_run: Callable[[SourceLike, RunOptions], Run]) -> None:
        self._order: Order = options.order
        self._period = 1 / (options.rate or NOMINAL_RATE)
        self._source = _PushedFrames(options.rate)
        self._run = new_run(
            self._source, RunOptions(**{name: getattr(options, name) for name in option_fields(LoopOptions)})
        )
        self._count, self._last = 0, -self._period

    def track(self, image: Any, time: float | Fraction | None = None) -> Result:
        """Return the result of the next image: a file, an array, or what `rgb_image` converts.

        `time` is that of the image, in s; None for one period of `fps`, else of 30 Hz, after the image before. The
        image is copied, so that the caller may use its array again. Raises InputError for what is no image and for a
        time that is not later than the one before, ValueError after `close`, and as iterating a run does.
        """
        own = np.array(to_image(image, self._order))
        frame = Frame.from_image(own, self._last + self._period if time is None else time, index=self._count)
        if self._count and frame.time <= self._last:
            before, found = float(self._last), float(frame.time)
            raise InputError(f"expected a time after that of the image before, {before:g} s, found {found:g} s")
        self._source.put(frame)
        try:
            result = next(self._run)
        except StopIteration:
            raise ValueError("expected a loop that is open, found one that was closed") from None
        self._count, self._last = self._count + 1, frame.time
        return result

    @property
    def stats(self) -> RunStats:
        """What has been done up to now, see `Run.stats`."""
        return self._run.stats

    @property
    def warnings(self) -> list[str]:
        """One sentence for each setting of the tracker that is left out."""
        return self._run.warnings

    def state(self) -> RunState:
        """Return the state after the last image, see `Run.state`."""
        return self._run.state()

    def close(self) -> None:
        """End the loop, and save its state if the option `state` names a file; may be called again."""
        self._source.stop()
        for _ in self._run:
            pass
        self._run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _PushedFrames:
    """A `FrameSource` of the frames that are `put`, of the nominal `rate` in Hz."""

    id, audio_from = "images", None

    def __init__(self, rate: Fraction | None) -> None:
        # The size, which is not known yet, only limits how many frames are in flight, and here it is one.
        self.info = VideoInfo(1, 1, rate, None, live=False)
        self.warnings: list[str] = []
        self._frames: SimpleQueue[Frame | None] = SimpleQueue()

    def put(self, frame: Frame) -> None:
        """Let `frame` be the next one."""
        self._frames.put(frame)

    def keep_on_device(self, to_device: ToDevice | None) -> None:
        """Do nothing: the images are on the host."""

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        if frame := self._frames.get():
            return frame
        raise StopIteration

    def stop(self) -> None:
        """End the iteration after the frames that have been put."""
        self._frames.put(None)

    def close(self) -> None:
        """Do nothing: no file is open."""
