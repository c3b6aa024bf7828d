"""Which frames are detected in when the detector is too slow, and that none is lost or out of order."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.pace import LATE_S, LONGEST_GAP_S, RealTime, paced
from streamdet.types import Detections, Frame

RATE_HZ = 25
BLANK = np.zeros((4, 4, 3), np.uint8)


def frame(index: int, received_at: float = 0.0) -> Frame:
    return Frame(index, index, Fraction(1, RATE_HZ), BLANK, "test", received_at)


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)


class Queue:
    """Frames that a channel would hold: as many wait as `waiting` says at each question, in turn."""

    def __init__(self, frames: list[Frame], waiting: list[bool], error: Exception | None = None) -> None:
        self._frames, self._waiting, self._error = deque(frames), deque(waiting), error

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        if not self._frames:
            raise self._error or StopIteration
        return self._frames.popleft()

    def ready(self) -> bool:
        self._waiting.rotate(-1)
        return not self._waiting or self._waiting[0]


def two_slots(frames: Iterable[Frame]) -> Iterator[tuple[Frame, Detections]]:
    """Stands for `Detector.stream`: two frames in flight, one if none waits; finds one box per frame."""
    busy: deque[Frame] = deque()
    for item in frames:
        busy.append(item)
        if len(busy) == 2 or not frames.ready():  # type: ignore[attr-defined]
            yield _found(busy.popleft())
    while busy:
        yield _found(busy.popleft())


def _found(item: Frame) -> tuple[Frame, Detections]:
    return item, Detections([[item.index, 0, 1, 1]], [0.9], [0])  # type: ignore[arg-type]


def due(pace: RealTime, clock: Clock, count: int, cost_s: float) -> list[int]:
    """Return which frames of a file are due when each costs `cost_s` to detect in and 1 ms otherwise."""
    indices = []
    for index in range(count):
        if pace.due(frame(index)):
            indices.append(index)
            clock.now_s += cost_s
        clock.now_s += 0.001
    return indices


def test_a_fast_detector_sees_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    assert due(RealTime(live=False), Clock(monkeypatch), 100, cost_s=0.030) == list(range(100))


def test_a_slow_detector_keeps_to_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 25 Hz and 100 ms a frame, two in five can be seen; the run ends when the video does."""
    clock = Clock(monkeypatch)
    seen = due(RealTime(live=False), clock, 250, cost_s=0.100)
    assert len(seen) == pytest.approx(0.4 * 250, abs=6)
    assert max(np.diff(seen)) <= 4
    assert clock.now_s - 1000 == pytest.approx(10, abs=0.2)


@pytest.mark.parametrize("cost_s", [0.6, 0.9, 1.05, 3.0])
def test_a_hopeless_detector_sees_twice_a_second_and_no_more(monkeypatch: pytest.MonkeyPatch, cost_s: float) -> None:
    clock = Clock(monkeypatch)
    seen = due(RealTime(live=False), clock, 250, cost_s)
    assert max(np.diff(seen)) <= np.ceil(LONGEST_GAP_S * RATE_HZ)
    assert 10 / LONGEST_GAP_S - 1 <= len(seen) <= 10 / LONGEST_GAP_S + 3


def test_a_file_goes_on_in_real_time_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(monkeypatch), RealTime(live=False)
    assert due(pace, clock, 25, cost_s=0.030) == list(range(25))
    clock.now_s += 60
    later = []
    for index in range(25, 200):
        if pace.due(frame(index)):
            later.append(index)
            clock.now_s += 0.010
        clock.now_s += 0.001
    # The second that is made up for costs detections, not the minute.
    assert len(later) > 130


def test_a_camera_s_frame_is_late_by_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(monkeypatch), RealTime(live=True)
    ages_s = [0.0, LATE_S / 2, 2 * LATE_S, 2 * LATE_S, 0.0]
    assert [pace.due(frame(i, clock.now_s - age_s)) for i, age_s in enumerate(ages_s)] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_a_stream_that_starts_over_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(monkeypatch), RealTime(live=True)
    assert pace.due(frame(5000, clock.now_s))
    assert pace.due(frame(0, clock.now_s - 1))


class Chosen(RealTime):
    """Only the frames of these indices are due."""

    def __init__(self, indices: set[int]) -> None:
        super().__init__(live=False)
        self._indices = indices

    def due(self, frame: Frame) -> bool:
        return frame.index in self._indices


@given(
    count=st.integers(0, 30),
    chosen=st.sets(st.integers(0, 29)),
    waiting=st.lists(st.booleans(), max_size=6),
)
def test_every_frame_comes_once_in_order_and_the_due_ones_with_detections(
    count: int, chosen: set[int], waiting: list[bool]
) -> None:
    frames = [frame(index) for index in range(count)]
    pace = Chosen(chosen)
    results = list(paced(Queue(frames, waiting), two_slots, pace))
    assert pace.detected == len(chosen & set(range(count)))
    assert [item.index for item, _ in results] == list(range(count))
    for item, detections in results:
        if item.index in chosen:
            assert detections is not None
            assert detections.boxes[0, 0] == item.index
        else:
            assert detections is None


def test_a_frame_that_is_not_due_does_not_wait_for_the_next_that_is() -> None:
    """While nothing more waits, what was passed over comes out after the detections before it."""
    results = paced(Queue([frame(i) for i in range(9)], [True, True, True, False]), two_slots, Chosen({0, 8}))
    first_four = [next(results) for _ in range(4)]
    assert [item.index for item, _ in first_four] == [0, 1, 2, 3]


def test_a_failure_arrives_after_the_frames_ahead_of_it() -> None:
    results = paced(Queue([frame(i) for i in range(5)], [], OSError("gone")), two_slots, Chosen({0, 3}))
    assert [next(results)[0].index for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="gone"):
        next(results)


def test_a_run_says_in_how_many_frames_it_detected(
    streamdet: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tiny_weights: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(RealTime, "due", lambda self, frame: frame.index % 3 == 0)
    scene = ["scene://street?seconds=1&fps=10&size=192x108", "--model", tiny_weights, "--imgsz", 96]
    printed = streamdet("track", *scene, "--tracks", tmp_path / "a.txt", "--stride", "auto", code=0)
    assert "10 frames in" in printed
    assert "fps; detected in 4 of them; bottleneck:" in printed
    printed = streamdet("track", *scene, "--tracks", tmp_path / "b.txt", code=0)
    assert "10 frames in" in printed
    assert "detected in" not in printed
