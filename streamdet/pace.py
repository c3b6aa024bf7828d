"""Detects as often as real time allows; the frames in between go on without detections."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, Self

from streamdet.types import Detections, Frame

LATE_S = 0.05  # behind real time by more, a frame is not detected in
LONGEST_GAP_S = 0.5  # of the video, between frames that are detected in, however late it is
FORGIVEN_S = 1.0  # a file is never taken to be later: what was lost beyond could be caught up with only by going blind

Detect = Callable[[Iterable[Frame]], Iterator[tuple[Frame, Detections]]]


class Frames(Protocol):
    """Frames from another thread, such as `streamdet.channel.Channel`."""

    def __iter__(self) -> Iterator[Frame]:
        """Wait for the next frame, until there are no more."""

    def ready(self) -> bool:
        """Return whether a frame waits, or there will be none."""


class RealTime:
    """Tells which frames are due: those that are not late, and one in `LONGEST_GAP_S` in any case.

    The frame of a `live` source is late by its age; that of a file by how far the run is behind one that plays it.
    `detected` counts the frames that were detected in.
    """

    def __init__(self, *, live: bool) -> None:
        self.detected = 0
        self._live = live
        self._began_s: float | None = None
        self._last_due_s = float("-inf")

    def due(self, frame: Frame) -> bool:
        """Return whether to detect in `frame`, the next one."""
        time_s = float(frame.time)
        gap_s = time_s - self._last_due_s
        # A clock that jumps back, as that of a stream that starts over, is a long gap too.
        due = self._late_s(frame, time_s) <= LATE_S or not 0 <= gap_s < LONGEST_GAP_S
        if due:
            self._last_due_s = time_s
        return due

    def _late_s(self, frame: Frame, time_s: float) -> float:
        now_s = time.monotonic()
        if self._live:
            return now_s - frame.received_at
        if self._began_s is None:
            self._began_s = now_s - time_s
        self._began_s = max(self._began_s, now_s - time_s - FORGIVEN_S)
        return now_s - self._began_s - time_s


def paced(frames: Frames, detect: Detect, pace: RealTime) -> Iterator[tuple[Frame, Detections | None]]:
    """Yield all `frames` in order, with what `detect` finds in those that are due by `pace` and None for the others."""
    gate = _Gate(frames, pace)
    for _, detections in detect(gate):
        pace.detected += 1
        yield from gate.until_due()
        yield gate.next_due(), detections
        yield from gate.until_due()
    yield from gate.until_due()
    if gate.failure is not None:
        raise gate.failure


class _Gate:
    """Lets the detector have only the frames that are due, and remembers the order of all.

    A `failure` of the frames is an end to the detector, so that what it has in flight still comes out.
    """

    def __init__(self, frames: Frames, pace: RealTime) -> None:
        self._frames, self._waits, self._pace = iter(frames), frames.ready, pace
        self._order: deque[tuple[Frame, bool]] = deque()
        self._ahead: Frame | None = None  # due, and not yet given out
        self._ended = False
        self.failure: Exception | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        while self._ahead is None and not self._ended:
            self._look()
        if self._ahead is None:
            raise StopIteration
        frame, self._ahead = self._ahead, None
        return frame

    def ready(self) -> bool:
        """Return whether a frame that is due waits, or there will be none."""
        while self._ahead is None and not self._ended and self._waits():
            self._look()
        return self._ahead is not None or self._ended

    def until_due(self) -> Iterator[tuple[Frame, None]]:
        """Yield the frames that came before the next one that is due."""
        while self._order and not self._order[0][1]:
            yield self._order.popleft()[0], None

    def next_due(self) -> Frame:
        """Return the oldest frame, which is due."""
        return self._order.popleft()[0]

    def _look(self) -> None:
        try:
            frame = next(self._frames)
        except Exception as error:
            self._ended, self.failure = True, None if isinstance(error, StopIteration) else error
            return
        due = self._pace.due(frame)
        self._order.append((frame, due))
        if due:
            self._ahead = frame
