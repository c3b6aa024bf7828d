"""Policies: whether to detect in a frame, predict its tracks or drop it, decided by the clock.

A lane asks its policy for each frame at the moment when a slot is free for it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from streamdet.types import Frame

LATE_S = 0.05  # a frame that is further behind real time is not detected in
LONGEST_GAP_S = 0.5  # longest part of a video between two frames that are detected in, however late they are
# A file counts as this late at most: to make up for more, a run would have to skip detection for too long.
FORGIVEN_S = 1.0
SIZE_STEP_PX = 32  # sides of a model input are multiples of the stride of its coarsest cells


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

    def done(self, frame: Frame, now_s: float) -> None:
        """Take note that the detections of `frame` are known; may be called in another thread than `admit`."""


class EveryFrame:
    """Detects in every frame."""

    sizes: Sequence[int] = ()

    def admit(self, frame: Frame, now_s: float, load: Load) -> Detect | Skip:
        """Return `Detect`."""
        return Detect()

    def done(self, frame: Frame, now_s: float) -> None:
        """Ignore it."""


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

    def done(self, frame: Frame, now_s: float) -> None:
        """Ignore it: only the clock counts."""

    def _late_s(self, frame: Frame, time_s: float, now_s: float) -> float:
        if self._live:
            return now_s - frame.received_at
        if self._began_s is None:
            self._began_s = now_s - time_s
        self._began_s = max(self._began_s, now_s - time_s - FORGIVEN_S)
        return now_s - self._began_s - time_s


class Step(NamedTuple):
    """What is done to save time: detect in every `every`-th frame, in images of `scale` times the run's size."""

    name: str
    every: int
    scale: float


STEPS = (
    Step("every frame", 1, 1.0),
    Step("every 2nd frame", 2, 1.0),
    Step("every 2nd frame at 3/4 of the size", 2, 0.75),
    Step("every 3rd frame at half the size", 3, 0.5),
)


class ContractState(NamedTuple):
    """How a `LatencyContract` is kept at a moment: by which of the `STEPS`, and why.

    - `step`: the index of the step, 0 while nothing needs to be saved.
    - `age_s`: the age of the result by which the step was chosen, None before the first change.
    - `limit_s`: the age that is agreed.
    """

    step: int
    age_s: float | None
    limit_s: float

    @property
    def name(self) -> str:
        """The step in words."""
        return STEPS[self.step].name

    def __str__(self) -> str:
        age = "age up to" if self.age_s is None else f"age {1000 * self.age_s:.0f} ms of"
        return f"{age} {1000 * self.limit_s:.0f} ms: {self.name}"


class LatencyContract:
    """Keeps the age of results below `max_latency_s` by detecting less often, and in smaller images, while it must.

    The steps are `STEPS`; the next one is taken as soon as a result is older than `_ALARM` of the limit, and the one
    before again after a time in which all results were younger than `_CALM` of it. That time doubles with each return
    that did not last. Tracks of the frames between are predicted. A frame whose result would come too late is dropped,
    but at least one in `LONGEST_GAP_S` is detected in.

    `size_px` is the longer side of the run's model input.
    """

    _ALARM, _CALM = 0.8, 0.5
    _FIRST_REST_S, _LONGEST_REST_S = 2.0, 60.0
    _SHARE = 0.2  # of a new measurement in the mean time of a detection

    def __init__(self, max_latency_s: float, size_px: int) -> None:
        self.state = ContractState(0, None, max_latency_s)
        self._limit_s = max_latency_s
        scaled = [int(size_px * step.scale) // SIZE_STEP_PX * SIZE_STEP_PX for step in STEPS]
        smaller = [max(px, SIZE_STEP_PX) for px in scaled]
        self._size_of = [None if step.scale == 1 else px for step, px in zip(STEPS, smaller, strict=True)]
        self.sizes: Sequence[int] = tuple(dict.fromkeys(px for px in self._size_of if px is not None))
        self._mean_s = [0.0] * len(STEPS)  # from admission to the detections, by step
        self._admitted: deque[tuple[Frame, float, int]] = deque(maxlen=64)
        self._since = 0  # frames since the last one that was detected in
        self._last_s = float("-inf")  # when that was
        self._rest_s, self._changed_s, self._returned_s = self._FIRST_REST_S, float("-inf"), float("-inf")
        self._worst_s = 0.0  # age of a result since the last change of the step, or the last rest

    @property
    def step(self) -> int:
        """The index of the step in `STEPS`."""
        return self.state.step

    def admit(self, frame: Frame, now_s: float, load: Load) -> Detect | Skip:
        """Return `Detect` with the size of the step, ``Skip.PREDICT`` between, or ``Skip.DROP`` for a late frame."""
        step = self.step
        self._since += 1
        is_overdue = now_s - self._last_s >= LONGEST_GAP_S
        if self._since < STEPS[step].every and not is_overdue:
            return Skip.PREDICT
        if now_s - frame.received_at + self._mean_s[step] > self._limit_s and not is_overdue:
            return Skip.DROP
        self._since, self._last_s = 0, now_s
        self._admitted.append((frame, now_s, step))
        return Detect(self._size_of[step])

    def done(self, frame: Frame, now_s: float) -> None:
        """Measure the age of the result, and change the step where that is needed."""
        admitted_s, step = self._admission(frame)
        took_s, mean_s = now_s - admitted_s, self._mean_s[step]
        self._mean_s[step] = took_s if mean_s == 0 else mean_s + self._SHARE * (took_s - mean_s)
        if admitted_s <= self._changed_s:
            return  # it was admitted before the change, and tells nothing of its effect
        self._worst_s = max(self._worst_s, now_s - frame.received_at)
        if self._worst_s > self._ALARM * self._limit_s:
            has_failed = now_s - self._returned_s < self._rest_s
            self._rest_s = min(2 * self._rest_s, self._LONGEST_REST_S) if has_failed else self._FIRST_REST_S
            self._change(min(self.step + 1, len(STEPS) - 1), now_s)
        elif now_s - self._changed_s > self._rest_s:
            is_calm = self._worst_s < self._CALM * self._limit_s
            if is_calm and self.step:
                self._returned_s = now_s
            self._change(max(self.step - is_calm, 0), now_s)

    def _admission(self, frame: Frame) -> tuple[float, int]:
        """Return when and in which step `frame` was admitted, and forget those before it."""
        while True:
            admitted, admitted_s, step = self._admitted.popleft()
            if admitted.index == frame.index:
                return admitted_s, step

    def _change(self, step: int, now_s: float) -> None:
        if step or step != self.step:
            self.state = ContractState(step, self._worst_s, self._limit_s)
        self._changed_s, self._worst_s = now_s, 0.0
