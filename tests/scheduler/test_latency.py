"""Which frames are detected in when the detector is too slow."""

from fractions import Fraction

import numpy as np
import pytest

from streamdet.scheduler.latency import LATE_S, LONGEST_GAP_S, Detect, Load, RealTime, Skip
from streamdet.types import Frame

RATE_HZ = 25
BLANK = np.zeros((4, 4, 3), np.uint8)
LOAD = Load(waiting=1, in_flight=0)


def frame(index: int, received_at: float = 0.0) -> Frame:
    return Frame(index, index, Fraction(1, RATE_HZ), BLANK, "test", received_at)


class Playing:
    """A run whose detections take their time, by a clock of its own."""

    def __init__(self, *, live: bool = False) -> None:
        self.now_s = 1000.0
        self.policy = RealTime(live=live)

    def due(self, index: int, age_s: float = 0.0) -> bool:
        decision = self.policy.admit(frame(index, self.now_s - age_s), self.now_s, LOAD)
        assert decision in (Detect(), Skip.PREDICT)
        return decision == Detect()

    def detected(self, indices: range, cost_s: float) -> list[int]:
        """Return which of the frames are detected in when that costs `cost_s`, and 1 ms otherwise."""
        found = []
        for index in indices:
            if self.due(index):
                found.append(index)
                self.now_s += cost_s
            self.now_s += 0.001
        return found


def test_a_fast_detector_sees_every_frame() -> None:
    assert Playing().detected(range(100), cost_s=0.030) == list(range(100))


def test_a_slow_detector_keeps_to_real_time() -> None:
    """At 25 Hz and 100 ms a frame, two in five can be seen; the run ends when the video does."""
    run = Playing()
    seen = run.detected(range(250), cost_s=0.100)
    assert len(seen) == pytest.approx(0.4 * 250, abs=6)
    assert max(np.diff(seen)) <= 4
    assert run.now_s - 1000 == pytest.approx(10, abs=0.2)


@pytest.mark.parametrize("cost_s", [0.6, 0.9, 1.05, 3.0])
def test_a_hopeless_detector_sees_twice_a_second_and_no_more(cost_s: float) -> None:
    seen = Playing().detected(range(250), cost_s)
    assert max(np.diff(seen)) <= np.ceil(LONGEST_GAP_S * RATE_HZ)
    assert 10 / LONGEST_GAP_S - 1 <= len(seen) <= 10 / LONGEST_GAP_S + 3


def test_a_file_goes_on_in_real_time_after_a_pause() -> None:
    run = Playing()
    assert run.detected(range(25), cost_s=0.030) == list(range(25))
    run.now_s += 60
    # The second that is made up for costs detections, not the minute.
    assert len(run.detected(range(25, 200), cost_s=0.010)) > 130


def test_a_frame_of_a_camera_is_late_by_its_age() -> None:
    camera = Playing(live=True)
    ages_s = [0.0, LATE_S / 2, 2 * LATE_S, 2 * LATE_S, 0.0]
    assert [camera.due(index, age_s) for index, age_s in enumerate(ages_s)] == [True, True, False, False, True]


def test_a_stream_that_starts_over_is_seen_at_once() -> None:
    camera = Playing(live=True)
    assert camera.due(5000)
    assert camera.due(0, age_s=1)
