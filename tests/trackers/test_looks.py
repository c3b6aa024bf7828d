"""Appearance of finished tracks: a bounded sample, cuts where another object begins, and tracks that look alike."""

import numpy as np
from numpy.testing import assert_array_equal

from tests.trackers.walks import RATE_HZ, walk
from trackers.looks import MOST_SAMPLES, Looks
from trackers.mot import MotRows
from trackers.offline import refine
from trackers.types import FloatArray, unit

RED, BLUE = np.eye(8)[:2]


def similar(colour: FloatArray, count: int, seed: int = 0) -> FloatArray:
    """Return unit vectors (count, 8) whose mean cosine distance from `colour` is 0.05."""
    return unit(colour + np.random.default_rng(seed).normal(0, 0.12, (count, 8)))


def looking(track: MotRows, features: FloatArray, looks: Looks) -> MotRows:
    for frame, track_id, feature in zip(track.frames.tolist(), track.ids, features, strict=True):
        looks.add(frame, np.array([track_id]), [feature])
    return track


def test_a_sample_is_bounded_and_spread_over_the_whole_track() -> None:
    looks = Looks()
    looking(walk(1, range(1, 1001)), similar(RED, 1000), looks)
    frames = looks.samples[1].frames
    assert MOST_SAMPLES / 2 <= len(frames) <= MOST_SAMPLES
    assert len(np.unique(np.diff(frames))) == 1
    assert frames[0] == 1
    assert frames[-1] > 1000 - np.diff(frames)[0]


def test_a_track_is_cut_where_another_appearance_begins() -> None:
    looks = Looks()
    rows = looking(walk(1, range(1, 31)), np.vstack([similar(RED, 12), similar(BLUE, 18)]), looks)
    tracks, parts = looks.split(rows)
    assert_array_equal(tracks.ids, [1] * 12 + [2] * 18)
    assert sorted(parts.samples) == [1, 2]
    assert parts.samples[2].frames == [*range(13, 31)]


def test_a_track_that_is_lit_otherwise_for_a_moment_stays_whole() -> None:
    looks = Looks()
    rows = looking(walk(1, range(1, 31)), np.vstack([similar(RED, 14), similar(BLUE, 2), similar(RED, 14)]), looks)
    assert_array_equal(looks.split(rows)[0].ids, [1] * 30)


def test_refinement_cuts_a_track_that_went_over_to_another_object() -> None:
    looks = Looks()
    rows = looking(walk(1, range(1, 61)), np.vstack([similar(RED, 30), similar(BLUE, 30)]), looks)
    assert set(refine(rows, frame_rate=RATE_HZ).ids) == {1}
    # What is cut is not linked again by its motion, although that fits.
    assert len(set(refine(rows, frame_rate=RATE_HZ, looks=looks).ids)) == 2


def test_who_comes_back_later_than_motion_reaches_is_known_by_its_looks() -> None:
    for colour, expected in ((RED, {1}), (BLUE, {1, 2})):
        looks = Looks()
        first = looking(walk(1, range(1, 31)), similar(RED, 30), looks)
        later = looking(walk(2, range(131, 161), start_px=0), similar(colour, 30, seed=1), looks)
        rows = MotRows.concatenate([first, later])
        assert set(refine(rows, frame_rate=RATE_HZ).ids) == {1, 2}
        assert set(refine(rows, frame_rate=RATE_HZ, looks=looks).ids) == expected


def test_who_is_too_far_away_or_there_at_the_same_time_is_another() -> None:
    for other in (walk(2, range(45, 75), start_px=3000), walk(2, range(20, 50), start_px=400)):
        looks = Looks()
        rows = MotRows.concatenate(
            [looking(walk(1, range(1, 31)), similar(RED, 30), looks), looking(other, similar(RED, 30), looks)]
        )
        assert set(refine(rows, frame_rate=RATE_HZ, looks=looks).ids) == {1, 2}
