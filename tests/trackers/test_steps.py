"""Steps in time that are too long to follow anything over: a stall, a pause, a cut."""

import numpy as np
import pytest

from tests.trackers.people import person, see
from trackers.config import TRACKERS, parse_config
from trackers.states import VALUE
from trackers.streamsort import StreamSort
from trackers.tracker import Tracker

RATE_HZ = 10.0
PLACES = [person(x) for x in (100, 200, 300, 400, 500)]


def build(name: str, rate_hz: float = RATE_HZ) -> Tracker:
    return parse_config({"tracker_type": name}).build(rate_hz)


@pytest.mark.parametrize("name", sorted(TRACKERS))
@pytest.mark.parametrize("pause_s", [30.0, 7200.0])
def test_other_people_after_a_pause_have_other_ids(name: str, pause_s: float) -> None:
    """They stand where those before the pause stood, to the pixel."""
    tracker = build(name)
    before = {track_id for _ in range(20) for track_id in see(tracker, *PLACES).ids.tolist()}
    assert before == {1, 2, 3, 4, 5}
    pause = see(tracker, *PLACES, elapsed=pause_s * RATE_HZ).ids.tolist()
    after = [see(tracker, *PLACES).ids.tolist() for _ in range(20)]
    assert not before & {track_id for ids in [pause, *after] for track_id in ids}
    assert after[-1] == [6, 7, 8, 9, 10]


@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_nobody_is_expected_over_a_pause(name: str) -> None:
    tracker = build(name)
    for _ in range(5):
        see(tracker, person(100))
    assert tracker.expected(elapsed=2).ids.tolist() == [1]
    assert tracker.expected(elapsed=300).ids.tolist() == []


@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_frames_that_are_always_far_apart_keep_their_ids(name: str) -> None:
    """One frame in five seconds, further apart than any lost budget."""
    tracker = build(name)
    ids = [see(tracker, person(100), elapsed=50.0).ids.tolist() for _ in range(12)]
    assert ids[-1] == [1]


@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_a_few_dropped_frames_keep_their_ids(name: str) -> None:
    tracker = build(name)
    for _ in range(5):
        see(tracker, person(100))
    assert see(tracker, person(100), elapsed=5.0).ids.tolist() == [1]


def test_appearance_finds_nobody_again_after_a_pause() -> None:
    tracker = StreamSort(frame_rate=RATE_HZ)
    for elapsed in (1.0, 1.0, 1.0, 300.0, 1.0):
        tracks = tracker.update([person(100)], [0.9], [0], features=[[1.0, 0.0]], elapsed=elapsed)
    assert tracks.ids.tolist() == [2]
    hidden = StreamSort(frame_rate=RATE_HZ)
    for _ in range(5):
        hidden.update([person(100)], [0.9], [0], features=[[1.0, 0.0]])
    hidden.update([], [], [])
    found = [hidden.update([person(130)], [0.9], [0], features=[[1.0, 0.0]], elapsed=14.5).ids.tolist() for _ in "ab"]
    assert found == [[2], [2]]


def test_a_tracker_that_explains_lists_the_tracks_that_a_pause_ended() -> None:
    tracker = build("streamsort")
    tracker.explains = True
    for _ in range(5):
        see(tracker, person(100), person(300))
    see(tracker, person(500), elapsed=300.0)
    assert tracker.decisions is not None
    assert tracker.decisions.ended.tolist() == tracker.decisions.serials.tolist() == [1, 2]
    assert tracker.decisions.unseen.tolist() == [300.0, 300.0]
    np.testing.assert_allclose(tracker.decisions.boxes, [person(100), person(300)], atol=1)


def test_a_track_is_not_looked_for_further_away_than_four_of_its_sizes() -> None:
    """Five seconds after its first detection, it could have moved by a dozen of its widths, 40 px."""
    tracker = StreamSort(frame_rate=30.0)
    see(tracker, person(100), elapsed=150.0)
    scale = tracker._motion.scale(tracker._table.states[:, VALUE])
    assert tracker._margins(150.0, scale).tolist() == [[160.0, 400.0]]
    assert see(tracker, person(700), elapsed=150.0).ids.tolist() == [2]
