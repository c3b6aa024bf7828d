"""The webcam tab's work: the newest frame of each browser through the detector, the tracked frames back."""

from __future__ import annotations

import base64
import itertools
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import cv2

from streamdet.channel import Channel
from streamdet.detect.detector import Detector
from streamdet.options import TrackerOptions
from streamdet.pipeline import track_stage
from streamdet.result import Result
from streamdet.tracking.frame_tracker import load_tracker
from streamdet.types import Frame, UInt8Array

RATE_HZ = 20  # of the frames that the page sends
_TICK_S = Fraction(1, 1_000_000)
_FPS_WINDOW_S = 2.0


class Webcams:
    """The webcams of all open pages, each with its own tracker.

    They share one detector without a lock: its weights are only read, and each `stream` has buffers of its own.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._webcams: dict[str, Webcam] = {}

    def receive(self, session: str, image: UInt8Array) -> None:
        """Take a frame of `session`, uint8 (H, W, 3) RGB; it is dropped where nobody watches that webcam."""
        if webcam := self._webcams.get(session):
            webcam.receive(image)

    def watch(self, session: str) -> Iterator[tuple[str, str]]:
        """Yield each tracked frame of `session` as a JPEG data URL with a line about it, until `close`."""
        with self._opened(session) as webcam:
            yield from webcam.tracked(self._detector)

    def close(self, session: str | None = None) -> None:
        """End the webcam of `session`, or all of them."""
        for webcam in [self._webcams.get(session)] if session else list(self._webcams.values()):
            if webcam:
                webcam.close()

    @contextmanager
    def _opened(self, session: str) -> Iterator[Webcam]:
        self.close(session)  # a page that lost its connection may come back before the loss is noticed
        webcam = self._webcams[session] = Webcam()
        try:
            yield webcam
        finally:
            if self._webcams[session] is webcam:
                del self._webcams[session]


class Webcam:
    """One browser's webcam. A single frame waits for the detector, and a newer one replaces it."""

    def __init__(self) -> None:
        self._frames: Channel[Frame] = Channel(1, drop_oldest=True)
        self._numbers = itertools.count()

    def receive(self, image: UInt8Array) -> None:
        """Offer the newest frame, uint8 (H, W, 3) RGB; never waits."""
        now_s = time.monotonic()
        self._frames.put(Frame(next(self._numbers), int(now_s / _TICK_S), _TICK_S, image, "webcam", now_s))

    def tracked(self, detector: Detector) -> Iterator[tuple[str, str]]:
        """Yield each tracked frame as a JPEG data URL with a line about it, until `close`."""
        shown_at: deque[float] = deque()
        tracker = load_tracker(TrackerOptions.tracker, frame_rate=RATE_HZ)
        results = track_stage(detector.stream(self._frames), tracker, detector.class_names)
        for count, result in enumerate(results, start=1):
            url, now_s = _jpeg_url(result.draw()), time.monotonic()
            shown_at.append(now_s)
            while shown_at[0] < now_s - _FPS_WINDOW_S:
                shown_at.popleft()
            yield url, self._line(result, count, len(shown_at) / _FPS_WINDOW_S)

    def close(self) -> None:
        """End `tracked`."""
        self._frames.end()

    def _line(self, result: Result, count: int, fps: float) -> str:
        ids = ", ".join(map(str, sorted(result.tracks.ids.tolist()))) or "none"
        latency_ms = 1e3 * (time.monotonic() - result.frame.received_at)
        return (
            f"{count} tracked, {self._frames.dropped} dropped · {fps:.1f} fps · "
            f"latency {latency_ms:.0f} ms · ids: {ids}"
        )


def _jpeg_url(image: UInt8Array) -> str:
    encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
