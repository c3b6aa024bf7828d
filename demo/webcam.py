"""The webcam tab: tracks the newest frame of each browser, and returns the tracked frames."""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from fractions import Fraction

import cv2

from streamdet.errors import InputError
from streamdet.page_options import PageOptions
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.result import Result
from streamdet.scheduler.threads import Channel
from streamdet.types import Frame, ToDevice, UInt8Array, VideoInfo

RATE_HZ = 20  # of the frames that the page sends
_TICK_S = Fraction(1, 1_000_000)
_FPS_WINDOW_S = 2.0
_IDLE_S = 60.0  # without a frame, until the place of a webcam is given back
_POLL_S = 0.02


class Webcams:
    """The webcams of all open pages, each with a run of its own over one `pipeline`.

    At most ``options.max_webcams`` have a place, for ``options.max_seconds``, or until no frame has come for a minute.
    """

    def __init__(self, pipeline: Pipeline, options: PageOptions) -> None:
        self._pipeline, self._options = pipeline, options
        self._webcams: dict[str, Webcam] = {}

    def receive(self, session: str, image: UInt8Array) -> bool:
        """Add a frame of `session`, uint8 (H, W, 3) RGB; return False if ``watch`` is not running for it."""
        webcam = self._webcams.get(session)
        if webcam:
            webcam.receive(image)
        return webcam is not None

    async def watch(self, session: str) -> AsyncIterator[tuple[str, str]]:
        """Yield each tracked frame of `session` as a JPEG data URL and a line of statistics, until ``close``.

        Raises InputError when all places are taken, or the time of this one is over.
        """
        with self._opened(session) as webcam:
            run = await asyncio.to_thread(self._pipeline.run, webcam, draw=True)
            try:
                run.start()
                views = shown(run)
                while True:
                    await self._wait(run, webcam)
                    view = await asyncio.to_thread(next, views, None)
                    if view is None:
                        return
                    yield view
            finally:
                webcam.close()
                await asyncio.to_thread(run.close)

    async def _wait(self, run: Run, webcam: Webcam) -> None:
        """Wait until `run` has a result or has ended, without holding a thread, of which Gradio has few."""
        while not run.ready():
            if time.monotonic() - webcam.received_at > _IDLE_S:
                raise InputError(f"the webcam's place was given back, since no frame came for {_IDLE_S:g} s")
            await asyncio.sleep(_POLL_S)
        if time.monotonic() - webcam.opened_at > self._options.max_seconds:
            raise InputError(f"the webcam's place was given back after {self._options.max_seconds:g} s")

    def close(self, session: str | None = None) -> None:
        """End the webcam of `session`, or all of them."""
        for webcam in [self._webcams.get(session)] if session else list(self._webcams.values()):
            if webcam:
                webcam.close()

    @contextmanager
    def _opened(self, session: str) -> Iterator[Webcam]:
        self.close(session)  # of a page that reconnects before the lost connection is noticed
        limit = self._options.max_webcams
        if len(self._webcams.keys() - {session}) >= limit:
            raise InputError(f"expected at most {limit} webcams at a time, and all places are taken: try again later")
        webcam = self._webcams[session] = Webcam()
        try:
            yield webcam
        finally:
            if self._webcams.get(session) is webcam:
                del self._webcams[session]


class Webcam:
    """The frames of one browser's webcam, a source for a run; a new frame replaces one that has not been read yet."""

    def __init__(self) -> None:
        self.id, self.audio_from = "webcam", None
        self.info = VideoInfo(640, 480, frame_rate=Fraction(RATE_HZ), frame_count=None, live=True)
        self.warnings: list[str] = []
        self._frames: Channel[Frame] = Channel(1)
        self._numbers = itertools.count()
        self.opened_at = self.received_at = time.monotonic()

    def receive(self, image: UInt8Array) -> None:
        """Add the newest frame, uint8 (H, W, 3) RGB, without waiting."""
        self.received_at = now_s = time.monotonic()
        self._frames.put(Frame(next(self._numbers), int(now_s / _TICK_S), _TICK_S, image, self.id, now_s))

    def keep_on_device(self, to_device: ToDevice | None) -> None:
        """Do nothing: the frames of browsers arrive decoded."""

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def __next__(self) -> Frame:
        return next(self._frames)

    def stop(self) -> None:
        """End the frames."""
        self._frames.end()

    close = stop


def shown(run: Run) -> Iterator[tuple[str, str]]:
    """Yield each result of `run` as a JPEG data URL and a line of statistics."""
    shown_at: deque[float] = deque()
    for result in run:
        url, now_s = _jpeg_url(result.draw()), time.monotonic()
        shown_at.append(now_s)
        while shown_at[0] < now_s - _FPS_WINDOW_S:
            shown_at.popleft()
        yield url, _statistics(run, result, len(shown_at) / _FPS_WINDOW_S)


def _statistics(run: Run, result: Result, fps: float) -> str:
    ids = ", ".join(map(str, sorted(result.tracks.ids.tolist()))) or "none"
    latency_ms = 1e3 * (time.monotonic() - result.frame.received_at)
    stats = run.stats
    # A frame that was replaced before the run read it appears only as a gap in the indices.
    dropped = result.frame.index + 1 - stats.results
    return f"{stats.results} tracked, {dropped} dropped · {fps:.1f} fps · latency {latency_ms:.0f} ms · ids: {ids}"


def _jpeg_url(image: UInt8Array) -> str:
    encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
