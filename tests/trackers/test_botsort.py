"""BoT-SORT: thresholds, the lost budget and appearance in scripted scenes, and what it refuses."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_array_equal

from tests.trackers.people import person, see
from trackers.botsort import BotSort, BotSortConfig

SETTINGS = BotSortConfig(track_high_thresh=0.5, track_low_thresh=0.1, new_track_thresh=0.6)


def test_a_weak_detection_continues_a_track_but_never_starts_one() -> None:
    tracker = BotSort(SETTINGS)
    see(tracker, person(100))
    assert_array_equal(see(tracker, person(101), person(500), score=0.2).ids, [1])
    assert_array_equal(see(tracker, person(102), person(500), score=0.2).ids, [1])


def test_a_weak_detection_does_not_bring_back_a_hidden_track() -> None:
    tracker = BotSort(SETTINGS)
    see(tracker, person(100))
    see(tracker)
    assert len(see(tracker, person(100), score=0.2).ids) == 0
    assert_array_equal(see(tracker, person(100)).ids, [1])


def test_what_is_below_the_low_threshold_is_ignored() -> None:
    tracker = BotSort(SETTINGS)
    see(tracker, person(100))
    assert len(see(tracker, person(100), score=0.05).ids) == 0


def test_a_strong_detection_below_the_birth_threshold_starts_nothing() -> None:
    tracker = BotSort(SETTINGS)
    assert len(see(tracker, person(100), score=0.55).ids) == 0
    assert len(see(tracker, person(100), score=0.55).ids) == 0


def test_after_the_first_frame_a_track_shows_when_it_is_seen_twice() -> None:
    tracker = BotSort(SETTINGS)
    see(tracker)
    assert len(see(tracker, person(100)).ids) == 0
    assert len(see(tracker).ids) == 0
    assert len(see(tracker, person(100)).ids) == 0
    assert_array_equal(see(tracker, person(101)).ids, [1])


def test_the_lost_budget_counts_dropped_frames() -> None:
    for elapsed, expected in ((29, 1), (30, 2)):
        tracker = BotSort(BotSortConfig(track_buffer_s=1.0), frame_rate=30)
        see(tracker, person(100))
        see(tracker)
        see(tracker, person(100), elapsed=elapsed)
        assert_array_equal(see(tracker, person(100)).ids, [expected])


def test_frames_further_apart_than_the_lost_budget_do_not_end_tracks() -> None:
    tracker = BotSort(BotSortConfig(track_buffer_s=0.0), frame_rate=30)
    assert [see(tracker, person(100), elapsed=15).ids.tolist() for _ in range(4)] == [[1]] * 4
    see(tracker, elapsed=15)
    see(tracker, person(100), elapsed=15)
    assert_array_equal(see(tracker, person(100), elapsed=15).ids, [2])


def test_scores_decide_between_equal_overlaps() -> None:
    tracker = BotSort()
    see(tracker, person(100))
    tracks = tracker.update([person(110), person(90)], [0.6, 0.9], [0, 0])
    assert_array_equal(tracks.detection_index, [1])
    unfused = BotSort(BotSortConfig(fuse_score=False))
    see(unfused, person(100))
    tracks = unfused.update([person(108), person(88)], [0.6, 0.9], [0, 0])
    assert_array_equal(tracks.detection_index, [0])


def looks(*rows: tuple[float, float]) -> npt.NDArray[np.float64]:
    return np.array(rows)


def test_appearance_tells_apart_whom_overlap_confuses() -> None:
    red, blue = (1.0, 0.0), (0.0, 1.0)
    before, after = [person(100), person(112)], [person(111), person(101)]
    for features, expected in ((looks(red, blue), [0, 1]), (None, [1, 0])):
        tracker = BotSort()
        for _ in range(3):
            tracker.update(before, [0.9, 0.9], [0, 0], features=looks(red, blue))
        tracks = tracker.update(after, [0.9, 0.9], [0, 0], features=features)
        assert_array_equal(tracks.ids, [1, 2])
        assert_array_equal(tracks.detection_index, expected)


def test_appearance_does_not_reach_across_the_image() -> None:
    tracker = BotSort()
    tracker.update([person(100)], [0.9], [0], features=looks((1, 0)))
    assert len(tracker.update([person(300)], [0.9], [0], features=looks((1, 0))).ids) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"elapsed": 0.0}, "elapsed must be above 0"),
        ({"elapsed": np.nan}, "elapsed must be above 0"),
        ({"camera_motion": np.eye(3)}, "camera_motion must be 2 x 3"),
        ({"camera_motion": np.full((2, 3), np.nan)}, "camera_motion must be 2 x 3"),
        ({"features": np.ones((1, 3))}, "features must keep their length of 2, got 3"),
        ({"features": np.ones((2, 2))}, "features must have shape"),
    ],
)
def test_refused_input_leaves_the_tracker_as_it_was(options: dict[str, Any], message: str) -> None:
    tracker = BotSort()
    tracker.update([person(100)], [0.9], [0], features=looks((1, 0)))
    with pytest.raises(ValueError, match=message):
        tracker.update([person(100)], [0.9], [0], **options)
    untouched = BotSort()
    untouched.update([person(100)], [0.9], [0], features=looks((1, 0)))
    for got, wanted in zip(see(tracker, person(101)), see(untouched, person(101)), strict=True):
        assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"match_thresh": 1.2}, "match_thresh must be between 0 and 1, got 1.2"),
        ({"new_track_thresh": float("nan")}, "new_track_thresh must be between 0 and 1, got nan"),
        ({"track_buffer_s": -1.0}, "track_buffer_s must be a time in s, 0 or more, got -1.0"),
        ({"track_low_thresh": 0.7}, r"track_low_thresh must not exceed track_high_thresh \(0.5\), got 0.7"),
        ({"appearance_thresh": -0.1}, "appearance_thresh must be between 0 and 1, got -0.1"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **changes)


@pytest.mark.parametrize("frame_rate", [0.0, -30.0, float("inf"), float("nan")])
def test_a_frame_rate_that_is_none_is_refused(frame_rate: float) -> None:
    with pytest.raises(ValueError, match="frame_rate must be a rate in Hz above 0"):
        BotSort(frame_rate=frame_rate)
