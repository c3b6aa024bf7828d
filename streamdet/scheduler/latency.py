"""What happens to a frame when a slot is free for it, by the clock: detected in, its tracks predicted, or dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from streamdet.types import Frame

LATE_S = 0.05  # behind real time by more, a frame is not detected in
LONGEST_GAP_S = 0.5  # of the video, between frames that are detected in, however late it is
FORGIVEN_S = 1.0  # a file is never taken to be later: what was lost beyond could be caught up with only by going blind


class Clock(Protocol):
    """The time, and a wait that ends by it; a test brings its own."""

    def now_s(self) -> float:
        """Return the time in s that frames are stamped with in `received_at`."""

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait for `condition`, which is held, at most until `timeout_s` have passed."""


class MonotonicClock:
    """``time.monotonic()``."""

    def now_s(self) -> float:
        """Return the time in s."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait for `condition`, at most `timeout_s`."""
        condition.wait(timeout_s)


class Detect(NamedTuple):
    """Detect in the frame; `size` is the longer side of the model input in px, None for the run's own."""

    size: int | None = None


class Skip(Enum):
    """Do not detect in the frame: predict its tracks, or drop it."""

    PREDICT = "predict"
    DROP = "drop"


class Load(NamedTuple):
    """How busy the device is: the frames of this run that wait, and the batches of all runs in flight."""

    waiting: int
    in_flight: int


class Policy(Protocol):
    """Decides for the frames of one run, in order, each when a slot is free for it.

    `sizes` are those that it may ask for beside the run's own, in px: their slots are made before the run begins.
    """

    @property
    def sizes(self) -> Sequence[int]:
        """Longer sides of the model input."""

    def admit(self, frame: Frame, now_s: float, load: Load) -> Detect | Skip:
        """Return what to do with `frame`; `now_s` is of the clock that stamped ``frame.received_at``."""


class EveryFrame:
    """Detects in every frame."""

    sizes: Sequence[int] = ()

    def admit(self, frame: Frame, now_s: float, load: Load) -> Detect | Skip:
        """Return that `frame` is detected in."""
        return Detect()


class RealTime:
    """Detects in the frames that are not late, and in one in `LONGEST_GAP_S` in any case; the others are predicted.

    The frame of a `live` source is late by its age; that of a file by how far the run is behind one that plays it.
    """

    sizes: Sequence[int] = ()

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._began_s: float | None = None
        self._last_due_s = float("-inf")

    def admit(self, frame: Frame, now_s: float, load: Load) -> Detect | Skip:
        """Return whether `frame`, the next one, is detected in or predicted."""
        time_s = float(frame.time)
        gap_s = time_s - self._last_due_s
        # A clock that jumps back, as that of a stream that starts over, is a long gap too.
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
