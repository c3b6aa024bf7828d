"""Appearance of finished tracks: a bounded sample, cuts where another object begins, and tracks that look alike."""

import numpy as np
from numpy.testing import assert_array_equal

from tests.trackers.walks import RATE_HZ, walk
from trackers.appearance import MOST_SAMPLES, AppearanceSamples
from trackers.mot import MotRows
from trackers.offline import refine
from trackers.types import FloatArray, unit

RED, BLUE = np.eye(8)[:2]


def similar(colour: FloatArray, count: int, seed: int = 0) -> FloatArray:
    """Return unit vectors (count, 8) whose mean cosine distance from `colour` is 0.05."""
    return unit(colour + np.random.default_rng(seed).normal(0, 0.12, (count, 8)))


def looking(track: MotRows, features: FloatArray, samples: AppearanceSamples) -> MotRows:
    for frame, track_id, feature in zip(track.frames.tolist(), track.ids, features, strict=True):
        samples.add(frame, np.array([track_id]), [feature])
    return track


def test_a_sample_is_bounded_and_spread_over_the_whole_track() -> None:
    samples = AppearanceSamples()
    looking(walk(1, range(1, 1001)), similar(RED, 1000), samples)
    frames = samples.samples[1].frames
    assert MOST_SAMPLES / 2 <= len(frames) <= MOST_SAMPLES
    assert len(np.unique(np.diff(frames))) == 1
    assert frames[0] == 1
    assert frames[-1] > 1000 - np.diff(frames)[0]


def test_a_track_is_cut_where_another_appearance_begins() -> None:
    samples = AppearanceSamples()
    rows = looking(walk(1, range(1, 31)), np.vstack([similar(RED, 12), similar(BLUE, 18)]), samples)
    tracks, parts = samples.split(rows)
    assert_array_equal(tracks.ids, [1] * 12 + [2] * 18)
    assert sorted(parts.samples) == [1, 2]
    assert parts.samples[2].frames == [*range(13, 31)]


def test_a_track_that_is_lit_otherwise_for_a_moment_stays_whole() -> None:
    samples = AppearanceSamples()
    rows = looking(walk(1, range(1, 31)), np.vstack([similar(RED, 14), similar(BLUE, 2), similar(RED, 14)]), samples)
    assert_array_equal(samples.split(rows)[0].ids, [1] * 30)


def test_refinement_cuts_a_track_that_went_over_to_another_object() -> None:
    samples = AppearanceSamples()
    rows = looking(walk(1, range(1, 61)), np.vstack([similar(RED, 30), similar(BLUE, 30)]), samples)
    assert set(refine(rows, frame_rate=RATE_HZ).ids) == {1}
    # What is cut is not linked again by its motion, although that fits.
    assert len(set(refine(rows, frame_rate=RATE_HZ, appearance=samples).ids)) == 2


def test_who_comes_back_later_than_motion_reaches_is_known_by_its_appearance() -> None:
    for colour, expected in ((RED, {1}), (BLUE, {1, 2})):
        samples = AppearanceSamples()
        first = looking(walk(1, range(1, 31)), similar(RED, 30), samples)
        later = looking(walk(2, range(131, 161), start_px=0), similar(colour, 30, seed=1), samples)
        rows = MotRows.concatenate([first, later])
        assert set(refine(rows, frame_rate=RATE_HZ).ids) == {1, 2}
        assert set(refine(rows, frame_rate=RATE_HZ, appearance=samples).ids) == expected


def test_who_is_too_far_away_or_there_at_the_same_time_is_another() -> None:
    for other in (walk(2, range(45, 75), start_px=3000), walk(2, range(20, 50), start_px=400)):
        samples = AppearanceSamples()
        rows = MotRows.concatenate(
            [looking(walk(1, range(1, 31)), similar(RED, 30), samples), looking(other, similar(RED, 30), samples)]
        )
        assert set(refine(rows, frame_rate=RATE_HZ, appearance=samples).ids) == {1, 2}
