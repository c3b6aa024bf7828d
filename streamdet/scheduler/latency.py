"""Policies: whether to detect in a frame, predict its tracks or drop it, decided by the clock.

A lane asks its policy for each frame at the moment when a slot is free for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from streamdet.types import Frame

LATE_S = 0.05  # a frame that is further behind real time is not detected in
LONGEST_GAP_S = 0.5  # longest part of a video between two frames that are detected in, however late they are
# A file counts as this late at most: to make up for more, a run would have to skip detection for too long.
FORGIVEN_S = 1.0


class Clock(Protocol):
    """A source of the time, and a wait with a timeout that it measures; tests replace it."""

    def now_s(self) -> float:
        """Return the time in s, on the scale of ``Frame.received_at``."""

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait for `condition`, whose lock is held, for `timeout_s` at most, None for no limit."""


class MonotonicClock:
    """The clock of ``time.monotonic()``."""

    def now_s(self) -> float:
        """Return the time in s."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait for `condition`, for `timeout_s` at most, None for no limit."""
        condition.wait(timeout_s)


class Detect(NamedTuple):
    """Detect in the frame; `size` is the longer side of the model input in px, None for the run's own."""

    size: int | None = None


class Skip(Enum):
    """Do not detect in the frame: predict its tracks, or drop it."""

    PREDICT = "predict"
    DROP = "drop"


class Load(NamedTuple):
    """The load of the device: the number of frames of this run that wait, and of batches of all runs in flight."""

    waiting: int
    in_flight: int


class Policy(Protocol):
    """Decides for the frames of one run, in order, each when a slot is free for it.

    `sizes` are the sizes in px, beside the run's own, that a `Detect` may ask for; their slots are made beforehand.
    """

    @property
    def sizes(self) -> Sequence[int]:
        """Longer sides of the model input."""

    def admit(self, frame: Frame, now_s: float, load: Load) -> Detect | Skip:
        """Return what to do with `frame`; `now_s` is on the scale of ``frame.received_at``."""


class EveryFrame:
    """Detects in every frame."""

    sizes: Sequence[int] = ()

    def admit(self, frame: Frame, now_s: float, load: Load) -> Detect | Skip:
        """Return `Detect`."""
        return Detect()


class RealTime:
    """Detects in frames that are not late, and at least once in `LONGEST_GAP_S`; tracks of the others are predicted.

    A frame of a `live` source is late by its age; a frame of a file is late by how far the run is behind playback that
    began with the first frame.
    """

    sizes: Sequence[int] = ()

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._began_s: float | None = None
        self._last_due_s = float("-inf")

    def admit(self, frame: Frame, now_s: float, load: Load) -> Detect | Skip:
        """Return `Detect` or ``Skip.PREDICT`` for the next frame."""
        time_s = float(frame.time)
        gap_s = time_s - self._last_due_s
        # Presentation times that jump back, as when a stream starts over, count as a long gap too.
        if self._late_s(frame, time_s, now_s) > LATE_S and 0 <= gap_s < LONGEST_GAP_S:
            return Skip.PREDICT
        self._last_due_s = time_s
        return Detect()

    def _late_s(self, frame: Frame, time_s: float, now_s: float) -> float:
        if self._live:
            return now_s - frame.received_at
        if self._began_s is None:
            self._began_s = now_s - time_s
        self._began_s = max(self._began_s, now_s - time_s - FORGIVEN_S)
        return now_s - self._began_s - time_s
