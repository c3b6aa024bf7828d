"""Tracks refined: gaps, links and cuts in scenes, and HOTA on real sequences."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from streamdet.evaluate.mot import evaluate_mot
from streamdet.evaluate.sequences import half_window
from tests.trackers.walks import RATE_HZ, walk
from trackers.config import DEFAULT_TRACKER, read_config
from trackers.mot import MotRows, read_camera_motion, read_detections, write_tracks
from trackers.offline import MAX_HIDDEN_S, refine, track_frames
from trackers.types import FloatArray


def refined(*tracks: MotRows, camera_motion: FloatArray | None = None) -> MotRows:
    return refine(MotRows.concatenate(list(tracks)), frame_rate=RATE_HZ, camera_motion=camera_motion)


def of(rows: MotRows, track_id: int) -> MotRows:
    return rows.select(rows.ids == track_id)


def test_a_gap_is_filled_along_the_motion() -> None:
    truth = walk(1, range(1, 61))
    tracks = refined(walk(1, [*range(1, 21), *range(41, 61)]))
    assert_array_equal(tracks.frames, truth.frames)
    assert_array_equal(tracks.ids, truth.ids)
    assert_allclose(tracks.boxes, truth.boxes, atol=0.3)


def test_filled_rows_carry_the_last_score_and_the_last_class() -> None:
    before, after = walk(1, range(1, 6), score=0.9, label=2), walk(1, range(9, 12), score=0.7, label=5)
    tracks = refined(before, after)
    assert_array_equal(tracks.scores, [0.9] * 8 + [0.7] * 3)
    assert_array_equal(tracks.class_ids, [5] * 11)


def test_a_long_gap_stays_empty() -> None:
    """A tracker may find someone again by their looks after a time for which motion alone cannot tell."""
    hidden = int(MAX_HIDDEN_S * RATE_HZ)
    for missing in (hidden - 1, hidden):
        frames = [*range(1, 31), *range(31 + missing, 61 + missing)]
        whole = walk(2, range(1, frames[-1] + 1), start_px=500)
        found = of(refined(walk(1, frames, pace_px=0), whole), 1).frames
        assert_array_equal(found, whole.frames if missing < hidden else frames)


def test_smoothing_brings_noisy_boxes_nearer_to_the_truth() -> None:
    truth = walk(1, range(1, 101))
    noise = np.random.default_rng(0).normal(0, 2, truth.boxes.shape)
    tracks = refined(truth._replace(boxes=truth.boxes + noise))
    assert np.abs(tracks.boxes - truth.boxes).mean() < 0.45 * np.abs(noise).mean()


def test_a_weak_detection_pulls_less_than_a_sure_one() -> None:
    off = []
    for score in (0.9, 0.3):
        track = walk(1, range(1, 32))
        track.boxes[15] += 20
        track.scores[15] = score
        off.append(np.abs(refined(track).boxes[15] - walk(1, [16]).boxes[0]).max())
    assert off[1] < off[0] / 3


def test_a_broken_track_is_joined_under_its_first_id() -> None:
    tracks = refined(walk(1, range(1, 31)), walk(2, range(45, 75)))
    assert_array_equal(tracks.ids, [1] * 74)
    assert_allclose(tracks.boxes, walk(1, range(1, 75)).boxes, atol=0.3)


@pytest.mark.parametrize(
    "other",
    [
        walk(2, range(45, 75), label=1),
        walk(2, range(45, 75), start_px=300),
        walk(2, range(45, 75), pace_px=-4, start_px=100 + 8 * 45),
        walk(2, range(30, 60)),
        walk(2, range(90, 120)),
    ],
    ids=["another class", "elsewhere", "the other way", "at the same time", "too late"],
)
def test_what_does_not_go_on_from_a_track_is_not_joined(other: MotRows) -> None:
    tracks = refined(walk(1, range(1, 31)), other)
    assert_array_equal(of(tracks, 2).frames, other.frames)


def test_a_track_that_comes_back_as_another_object_is_cut() -> None:
    """Two who meet: one is hidden, and the tracker takes who comes out on the other side for the wrong one."""
    stays = walk(3, range(1, 81), start_px=900)
    hidden_left = walk(1, range(1, 31))  # goes right, and on after frame 50
    wrong = walk(1, range(50, 81), pace_px=-4, start_px=100 + 8 * 40)  # goes left
    tracks = refined(hidden_left, wrong, walk(2, range(50, 81)), stays)
    assert_array_equal(of(tracks, 1).frames, np.arange(1, 81))
    assert_allclose(of(tracks, 1).boxes, walk(1, range(1, 81)).boxes, atol=0.5)
    assert_array_equal(of(tracks, 4).frames, np.arange(50, 81))  # a new id: 2 is not free for what was 1
    assert_allclose(of(tracks, 4).boxes, wrong.boxes, atol=0.5)


def test_a_link_that_motion_contradicts_is_undone_even_if_nothing_fits() -> None:
    """After more than half a second, that is: before that the tracker is trusted."""
    for begin, expected in ((45, [1]), (46, [1, 2])):
        tracks = refined(walk(1, range(1, 31)), walk(1, range(begin, begin + 30), start_px=198))
        assert_array_equal(np.unique(tracks.ids), expected)


def test_a_link_of_the_tracker_needs_less_likeness_than_a_new_one() -> None:
    for track_id, expected in ((1, [1]), (2, [1, 2])):
        tracks = refined(walk(1, range(1, 31)), walk(track_id, range(47, 77), start_px=158))
        assert_array_equal(np.unique(tracks.ids), expected)


def partly_seen(track: MotRows, share: float) -> MotRows:
    """Return `track` with boxes of the left `share` of the object."""
    boxes = track.boxes.copy()
    boxes[:, 2] = boxes[:, 0] + share * (boxes[:, 2] - boxes[:, 0])
    return track._replace(boxes=boxes)


def test_who_comes_out_behind_something_by_halves_is_the_same() -> None:
    tracks = refined(walk(1, range(1, 31)), partly_seen(walk(1, range(47, 52)), 0.4))
    assert_array_equal(np.unique(tracks.ids), [1])


def test_what_all_are_shifted_by_is_the_motion_of_the_camera() -> None:
    """A camera that nobody told of turns back and forth, while one of nine people is hidden."""
    frames = np.arange(1, 61)
    turned = 200.0 * np.sin(frames / 5)[:, None] * [1, 0, 1, 0]
    people = [walk(k, frames.tolist(), pace_px=0, start_px=300 * k) for k in range(1, 10)]
    people = [person._replace(boxes=person.boxes + turned) for person in people]
    hidden = people[4].select((frames < 20) | (frames > 40))
    found = of(refined(*people[:4], hidden, *people[5:]), 5)
    assert_array_equal(found.frames, frames)
    assert_allclose(found.boxes, people[4].boxes, atol=10)


def test_dropped_frames_hide_nobody() -> None:
    """Every 12th frame, 0.4 s apart: tracks that turn around are not cut there."""
    frames = np.arange(1, 121, 12)
    turning = walk(1, frames.tolist(), pace_px=0)
    turning.boxes[:, [0, 2]] += 40.0 * (np.arange(len(frames)) % 2)[:, None]
    assert_array_equal(np.unique(refined(turning).ids), [1])


def test_tracks_that_score_far_less_than_their_class_are_left_out() -> None:
    sure = [walk(k, range(1, 31), start_px=300 * k) for k in (1, 2, 3)]
    weak = walk(4, range(1, 31), start_px=1500, score=0.4)
    assert_array_equal(np.unique(refined(*sure, weak).ids), [1, 2, 3])
    assert_array_equal(np.unique(refined(*sure, weak._replace(class_ids=weak.class_ids + 1)).ids), [1, 2, 3, 4])


def test_gaps_are_filled_where_the_camera_looks() -> None:
    """Someone stands still in front of a camera that pans and zooms while they are hidden."""
    frames = np.arange(1, 41)
    scale = np.where(frames > 15, 1.02, 1.0)
    motion = np.array([[[s, 0, -9], [0, s, 3]] for s in scale])
    truth, box = [], np.array([[300.0, 50], [340, 150]])
    for affine in motion:
        box = box @ affine[:, :2].T + affine[:, 2]
        truth.append(box.ravel())
    count = len(frames)
    track = MotRows(frames, np.ones(count, int), np.array(truth), np.ones(count), np.zeros(count, int))
    tracks = refined(track.select((frames < 10) | (frames > 30)), camera_motion=motion)
    assert_array_equal(tracks.frames, frames)
    assert_allclose(tracks.boxes, track.boxes, atol=1e-6)


def test_nothing_refined_is_nothing() -> None:
    assert refined().boxes.shape == (0, 4)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 4)), min_size=1, unique=True), st.integers(0, 2**32 - 1))
def test_every_track_has_one_row_in_a_frame_and_one_class(places: list[tuple[int, int]], seed: int) -> None:
    random = np.random.default_rng(seed)
    frames, ids = np.array(places).T
    corner, sides = random.uniform(0, 300, (len(ids), 2)), random.uniform(0, 90, (len(ids), 2))
    rows = MotRows(
        frames, ids, np.hstack([corner, corner + sides]), random.random(len(ids)), random.integers(0, 2, len(ids))
    )
    tracks = refine(rows, frame_rate=RATE_HZ)
    keys = list(zip(tracks.frames.tolist(), tracks.ids.tolist(), strict=True))
    assert keys == sorted(set(keys))
    assert np.isfinite(tracks.boxes).all()
    assert (tracks.boxes[:, 2:] > tracks.boxes[:, :2]).all()
    for track_id in np.unique(tracks.ids):
        assert len(np.unique(of(tracks, track_id).class_ids)) == 1


def test_what_are_no_tracks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^expected one row of a track in a frame, found 2 of 1 in frame 5$"):
        refined(walk(1, [4, 5, 5]))
    with pytest.raises(ValueError, match=r"^frame_rate must be a rate in Hz above 0, got 0$"):
        refine(walk(1, [1]), frame_rate=0)
    with pytest.raises(ValueError, match=r"^expected camera motion up to frame 3, found 2 entries$"):
        refined(walk(1, [1, 2, 3]), camera_motion=np.array([np.eye(2, 3)] * 2))
    with pytest.raises(ValueError, match=r"^expected camera motions that can be undone, found \[\[0\.0, "):
        refined(walk(1, [1, 2, 3]), camera_motion=np.zeros((3, 2, 3)))


@pytest.mark.parametrize(("name", "online_bar", "refined_bar"), [("MOT17-05", 63.3, 68.5), ("MOT17-10", 62.2, 63.8)])
def test_hota_rises_on_second_halves(
    data: Path, tmp_path: Path, name: str, online_bar: float, refined_bar: float
) -> None:
    """A camera that is carried, in a street of 14 Hz and at night of 30 Hz."""
    folder = data / "mot" / "MOT17" / name
    length, rate_hz = {"MOT17-05": (837, 14.0), "MOT17-10": (654, 30.0)}[name]
    first, last = half_window(length, "val")
    motion = read_camera_motion(folder / "gmc.txt")
    found = {}
    for measured in (False, True):
        tracks = track_frames(
            read_config(DEFAULT_TRACKER).build(rate_hz),
            read_detections(folder / "det" / "yolox_x.txt"),
            frames=range(first, last + 1),
            camera_motion=motion,
            measured=measured,
        )
        if measured:
            tracks = refine(tracks, frame_rate=rate_hz, camera_motion=motion)
        write_tracks(tmp_path / "tracks.txt", tracks)
        found[measured] = evaluate_mot(folder, tmp_path / "tracks.txt", half="val").combined.hota
    assert found[False] > online_bar
    assert found[True] > refined_bar
