"""SORT and OC-SORT in scripted scenes: what they share, and what the second adds."""

import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.trackers.people import person, see
from trackers.ocsort import OcSort, OcSortConfig
from trackers.sort import Sort, SortConfig

KINDS = (Sort, OcSort)


def ids(tracker: Sort, *boxes: list[float], score: float = 0.9, elapsed: float = 1.0) -> list[int]:
    found: list[int] = see(tracker, *boxes, score=score, elapsed=elapsed).ids.tolist()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_two_who_cross_keep_their_identities(kind: type[Sort]) -> None:
    tracker = kind()
    for step in range(60):
        boxes = [person(100 + 5 * step, 100), person(400 - 5 * step, 130)]
        tracks = see(tracker, *boxes)
        assert tracks.ids.tolist() == [1, 2]
    assert_allclose(tracks.boxes, boxes, atol=2)


@pytest.mark.parametrize("kind", KINDS)
def test_who_comes_later_is_reported_when_seen_three_times_in_a_row(kind: type[Sort]) -> None:
    tracker = kind()
    see(tracker, person(100))
    newcomers = [ids(tracker, person(100), person(400)) for _ in range(3)]
    assert newcomers == [[1], [1], [1, 2]]


@pytest.mark.parametrize("kind", KINDS)
def test_weak_detections_are_ignored(kind: type[Sort]) -> None:
    tracker = kind()
    assert ids(tracker, person(100)) == [1]
    assert ids(tracker, person(100), score=0.3) == []
    assert ids(kind(), person(100), score=0.3) == []


@pytest.mark.parametrize("kind", KINDS)
def test_tracks_are_reported_where_they_are_detected(kind: type[Sort]) -> None:
    """The filter alone would lag behind a box that grows by a tenth in each frame."""
    tracker = kind(frame_rate=10)
    for step in range(10):
        size = 50 * 1.1**step
        tracks = see(tracker, [100, 100, 100 + size, 100 + size])
    assert_array_equal(tracks.boxes, [[100, 100, 100 + size, 100 + size]])


def test_sort_of_the_paper_forgets_at_once_and_by_default_it_does_not() -> None:
    for tracker, after in ((Sort(SortConfig(track_buffer_s=0.04)), []), (Sort(), [1]), (OcSort(), [1])):
        for _ in range(5):
            see(tracker, person(100))
        for _ in range(4):
            see(tracker)
        assert ids(tracker, person(100)) == after


@pytest.mark.parametrize("kind", KINDS)
def test_dropped_frames_are_no_hiding(kind: type[Sort]) -> None:
    tracker = kind()
    for step in range(20):
        see(tracker, person(100 + 3 * step))
    assert ids(tracker, person(100 + 3 * 25), elapsed=6) == [1]


def test_oc_sort_finds_who_stopped_while_hidden_where_he_was_seen_last() -> None:
    """By its motion the track is 96 px further, more than twice its width."""
    for stop_px, after in ((0, [1]), (60, [])):
        tracker = OcSort()
        for step in range(20):
            see(tracker, person(100 + 8 * step))
        for _ in range(11):
            see(tracker)
        assert ids(tracker, person(252 + stop_px)) == after


def test_momentum_prefers_whom_the_way_leads_to() -> None:
    """One runs on, the other comes from behind him: both detections overlap the track, the nearer lies backwards."""
    for weight, left_of_1 in ((0.0, 214.0), (0.9, 238.0)):
        tracker = OcSort(OcSortConfig(momentum_weight=weight))
        for step in range(11):
            see(tracker, person(115 + 10 * step))
        tracks = see(tracker, person(214), person(238))
        box = tracks.boxes[tracks.ids == 1][0]
        assert abs(box[0] - left_of_1) < 5


def test_re_update_makes_a_hidden_track_one_that_was_seen_on_a_straight_way() -> None:
    """Running, then hidden for ten frames, and seen again hardly any further."""
    hidden, seen = OcSort(), OcSort()
    for tracker in (hidden, seen):
        for step in range(20):
            see(tracker, person(100 + 8 * step))
    for step in range(1, 11):
        see(hidden)
        see(seen, person(252 + step))
    assert ids(hidden, person(263)) == ids(seen, person(263)) == [1]
    for elapsed in (1, 10):
        assert_allclose(hidden.expected(elapsed=elapsed).boxes, seen.expected(elapsed=elapsed).boxes)


def test_weak_stage_keeps_a_track_on_weak_detections() -> None:
    for weak_stage, after in ((False, []), (True, [1])):
        tracker = OcSort(OcSortConfig(weak_stage=weak_stage))
        for _ in range(5):
            see(tracker, person(100))
        assert ids(tracker, person(102), score=0.2) == after


@pytest.mark.parametrize("changes", [{"min_hits": 0}, {"min_hits": 2.5}, {"track_buffer_s": -1}, {"match_thresh": 2}])
def test_settings_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        SortConfig(**changes)  # type: ignore[arg-type]
