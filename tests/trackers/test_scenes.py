"""Scripted scenes with known answers for every tracker of two stages, and what must hold for any input."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests.trackers.people import person, see
from trackers.botsort import BotSort, BotSortConfig
from trackers.bytetrack import ByteTrack, ByteTrackConfig
from trackers.streamsort import StreamSort, StreamSortConfig
from trackers.types import IntArray, Tracks

TRACKERS = (StreamSort, BotSort, ByteTrack)
Tracker = StreamSort | BotSort | ByteTrack
SETTINGS_OF: dict[type[Tracker], Any] = {
    StreamSort: StreamSortConfig,
    BotSort: BotSortConfig,
    ByteTrack: ByteTrackConfig,
}


def seen(tracks: Tracks) -> IntArray:
    """Return the ids that a detection supports."""
    return tracks.ids[tracks.detection_index >= 0]


@pytest.mark.parametrize("kind", TRACKERS)
def test_two_who_cross_keep_their_identities(kind: type[Tracker]) -> None:
    tracker = kind()
    for step in range(60):
        boxes = [person(100 + 5 * step, 100), person(400 - 5 * step, 130)]
        tracks = see(tracker, *boxes)
        assert_array_equal(tracks.ids, [1, 2])
        assert_array_equal(tracks.detection_index, [0, 1])
    assert_allclose(tracks.boxes, boxes, atol=1.0)


@pytest.mark.parametrize("kind", TRACKERS)
def test_one_who_walks_behind_another_comes_back_as_the_same(kind: type[Tracker]) -> None:
    """Hidden for 8 frames: the nearer one, taller, stands; the other passes behind."""
    tracker = kind()
    near = [200.0, 80, 260, 230]
    for step in range(60):
        far = person(90 + 5 * step)
        hidden = 200 <= far[0] + 20 <= 240
        tracks = see(tracker, near, *([] if hidden else [far]))
        assert_array_equal(seen(tracks), [1] if hidden else [1, 2])
    assert_array_equal(tracks.detection_index, [0, 1])


@pytest.mark.parametrize("kind", TRACKERS)
def test_who_leaves_for_longer_than_the_budget_returns_as_somebody_new(kind: type[Tracker]) -> None:
    tracker = kind()
    for step in range(10):
        see(tracker, person(500), person(45 - 10 * step))
    for _ in range(90):
        assert set(see(tracker, person(500)).ids.tolist()) <= {1, 2}
    ids = [see(tracker, person(500), person(-45 + 10 * step)).ids.tolist() for step in range(10)]
    assert ids[-1] == [1, 3]


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_group_that_splits_keeps_its_identities(kind: type[Tracker]) -> None:
    """Three walk side by side and overlap by a third, then part to left, right and straight on."""
    tracker = kind()
    for step in range(80):
        apart = 3 * max(step - 30, 0)
        xs = [200 - apart + 2 * step, 228 + 2 * step, 256 + apart + 2 * step]
        assert_array_equal(see(tracker, *map(person, xs)).ids, [1, 2, 3])
        assert_array_equal(
            tracker.update([], [], []).detection_index, [-1] * (3 if kind is StreamSort and step > 1 else 0)
        )


@pytest.mark.parametrize("kind", TRACKERS)
def test_state_saved_and_restored_goes_on_with_the_same_ids(kind: type[Tracker]) -> None:
    undisturbed, before = kind(), kind()
    walk = [[person(100 + 4 * i), person(400 - 4 * i, 120)][: 1 + (i % 7 > 0)] for i in range(40)]
    for boxes in walk[:20]:
        see(undisturbed, *boxes, label=3)
        see(before, *boxes, label=3)
    after = kind()
    after.restore(before.state())
    for boxes in walk[20:]:
        for got, wanted in zip(see(after, *boxes, label=3), see(undisturbed, *boxes, label=3), strict=True):
            assert_array_equal(got, wanted)


@pytest.mark.parametrize("kind", TRACKERS)
def test_class_aware_tracks_do_not_take_each_other_s_detections(kind: type[Tracker]) -> None:
    for class_aware, expected in ((True, [1]), (False, [1, 2])):
        tracker = kind(SETTINGS_OF[kind](class_aware=class_aware))
        tracker.update([person(100), person(300)], [0.9, 0.9], [0, 1])
        tracks = tracker.update([person(100), person(315)], [0.9, 0.9], [0, 2])
        assert_array_equal(seen(tracks), expected)


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_label_that_changes_in_place_makes_no_new_id_of_class_aware_tracks(kind: type[Tracker]) -> None:
    tracker = kind(SETTINGS_OF[kind](class_aware=True))
    ids = [see(tracker, person(100), label=label).ids.tolist() for label in (2, 7, 2, 2, 7, 2)]
    assert ids == [[1]] * 6


@pytest.mark.parametrize("kind", TRACKERS)
def test_order_of_the_detections_does_not_matter(kind: type[Tracker]) -> None:
    tracker = kind()
    see(tracker, person(100), person(300))
    tracks = see(tracker, person(301), person(101))
    assert_array_equal(tracks.ids, [1, 2])
    assert_array_equal(tracks.detection_index, [1, 0])


@pytest.mark.parametrize("kind", TRACKERS)
@pytest.mark.parametrize("frame_rate", [10.0, 30.0, 60.0])
def test_the_lost_budget_is_in_seconds(kind: type[Tracker], frame_rate: float) -> None:
    for hidden_s, expected in ((0.9, 1), (1.1, 2)):
        tracker = kind(SETTINGS_OF[kind](track_buffer_s=1.0), frame_rate=frame_rate)
        see(tracker, person(100))
        for _ in range(round(hidden_s * frame_rate)):
            see(tracker)
        see(tracker, person(100))
        assert_array_equal(see(tracker, person(100)).ids, [expected])


@pytest.mark.parametrize("kind", TRACKERS)
def test_motion_goes_on_over_dropped_frames(kind: type[Tracker]) -> None:
    for elapsed, expected in ((10.0, [1]), (1.0, [])):
        tracker = kind()
        for step in range(20):
            see(tracker, person(100 + 8 * step))
        assert_array_equal(seen(see(tracker, person(100 + 8 * 29), elapsed=elapsed)), expected)


@pytest.mark.parametrize("kind", TRACKERS)
def test_in_frames_that_nobody_detects_in_tracks_are_expected_and_unchanged(kind: type[Tracker]) -> None:
    """The camera pans by 30 px meanwhile; who is hidden is not expected."""
    asked, not_asked = kind(), kind()
    for tracker in (asked, not_asked):
        for step in range(20):
            boxes = [person(100 + 5 * step)] + [person(500)] * (step < 19)
            see(tracker, *boxes)
    for elapsed in (0.5, 2.0):
        tracks = asked.expected(elapsed=elapsed, camera_motion=[[1, 0, 30], [0, 1, 0]])
        assert_allclose(tracks.boxes, [person(195 + 30 + 5 * elapsed)], atol=1.5)
        assert (tracks.ids.tolist(), tracks.detection_index.tolist()) == ([1], [-1])
    for ours, other in zip(see(asked, person(210), elapsed=3), see(not_asked, person(210), elapsed=3), strict=True):
        assert_array_equal(ours, other)
    with pytest.raises(ValueError, match="elapsed must be above 0 nominal frame periods, got 0"):
        asked.expected(elapsed=0)


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_turning_camera_needs_its_motion(kind: type[Tracker]) -> None:
    pan = np.array([[1, 0, 90.0], [0, 1, 0]])
    for motion, expected in ((pan, [1]), (None, [])):
        tracker = kind()
        for _ in range(5):
            see(tracker, person(100))
        tracks = tracker.update([person(190)], [0.9], [0], camera_motion=motion)
        assert_array_equal(seen(tracks), expected)


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_flickering_class_keeps_the_id_and_the_vote(kind: type[Tracker]) -> None:
    tracker = kind()
    labels = [2, 7, 2, 2, 7, 2]
    tracks = [see(tracker, person(100), score=0.8, label=label) for label in labels]
    assert [int(t.ids[0]) for t in tracks] == [1] * 6
    assert [int(t.class_ids[0]) for t in tracks] == [2] * 6


@pytest.mark.parametrize("kind", TRACKERS)
def test_two_trackers_share_nothing(kind: type[Tracker]) -> None:
    one, other, alone = kind(), kind(), kind()
    for step in range(10):
        tracks = see(one, person(100 + step), person(300))
        see(other, person(700 - 20 * step))
        expected = see(alone, person(100 + step), person(300))
        for got, wanted in zip(tracks, expected, strict=True):
            assert_array_equal(got, wanted)


coordinates = st.floats(-50, 250)
detections = st.lists(
    st.tuples(coordinates, coordinates, coordinates, coordinates, st.floats(0, 1), st.integers(0, 5)), max_size=8
)


@pytest.mark.parametrize("kind", TRACKERS)
@settings(max_examples=60, deadline=None)
@given(video=st.lists(st.tuples(detections, st.floats(0.1, 20)), max_size=12))
def test_any_input_gives_sound_rows(kind: type[Tracker], video: list[tuple[list[tuple[float, ...]], float]]) -> None:
    """Boxes of any kind, inside out and empty ones too."""
    tracker = kind(frame_rate=5)
    dead: set[int] = set()
    known: set[int] = set()
    for rows, elapsed in video:
        table = np.array(rows).reshape(-1, 6)
        tracks = tracker.update(table[:, :4], table[:, 4], table[:, 5], elapsed=elapsed, camera_motion=np.eye(2, 3))
        ids = set(tracks.ids.tolist())
        assert len(ids) == len(tracks.ids)
        supported = tracks.detection_index >= 0
        assert supported.all() or kind is StreamSort
        index = tracks.detection_index[supported]
        assert len(set(index.tolist())) == len(index)
        assert np.isfinite(tracks.boxes).all()
        assert (tracks.boxes[:, 2:] >= tracks.boxes[:, :2]).all()
        assert_array_equal(tracks.scores[supported], table[index, 4])
        assert min(ids - known, default=len(known) + 1) == len(known) + 1
        assert not ids & dead
        known |= ids
        if elapsed > 10:  # no budget is longer than two seconds
            dead |= known - ids
