"""A tracker's run over a sequence, and its tracks refined: links and cuts in scenes, and HOTA on real ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from streamdet.evaluate.mot import evaluate_mot
from streamdet.evaluate.sequences import half_window
from trackers.botsort import BotSort
from trackers.config import DEFAULT_TRACKER, read_config
from trackers.mot import MotRows, read_camera_motion, read_detections, write_tracks
from trackers.offline import MAX_HIDDEN_S, composed, refine, track_frames
from trackers.smoothing import (
    FIRST_SPEED_STD,
    MEASUREMENT_STD,
    Sightings,
    motion_noise,
    size,
    smooth,
    transition,
)
from trackers.streamsort import StreamSort
from trackers.types import FloatArray, Tracks


class Recorder(BotSort):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[dict[str, Any]] = []

    def update(self, boxes: Any, scores: Any, class_ids: Any, **options: Any) -> Tracks:
        self.given.append({"boxes": boxes, **options})
        return super().update(boxes, scores, class_ids, **options)


def walker(frames: list[int], pace_px: float = 4.0) -> MotRows:
    """Return a person of 40 x 100 px, in `frames`, whose centre is at 120 px in frame 0."""
    left = 100 + pace_px * np.array(frames, float)
    corners = np.stack([left, np.full_like(left, 50), left + 40, np.full_like(left, 150)], axis=1)
    count = len(frames)
    return MotRows(np.array(frames, np.int64), np.full(count, -1), corners, np.full(count, 0.9), np.full(count, 3))


def shifts(*x_px: float) -> FloatArray:
    return np.array([[[1, 0, x], [0, 1, 0]] for x in x_px], float)


def test_every_frame_reaches_the_tracker_also_without_detections() -> None:
    tracker = Recorder()
    tracks = track_frames(tracker, walker([1, 2, 5]))
    assert [len(given["boxes"]) for given in tracker.given] == [1, 1, 0, 0, 1]
    assert [given["elapsed"] for given in tracker.given] == [1, 1, 1, 1, 1]
    assert_array_equal(tracks.frames, [1, 2, 5])
    assert_array_equal(tracks.ids, [1, 1, 1])
    assert_array_equal(tracks.class_ids, [3, 3, 3])


def test_frames_left_out_elapse_and_their_camera_motion_adds_up() -> None:
    tracker = Recorder()
    motion = shifts(0, 1, 2, 4, 8, 16)
    tracks = track_frames(tracker, walker([1, 2, 3, 4, 5, 6]), frames=[2, 3, 6], camera_motion=motion)
    assert [given["elapsed"] for given in tracker.given] == [1, 1, 3]
    first, second, third = (given["camera_motion"] for given in tracker.given)
    assert first is None
    assert_array_equal([second, third], shifts(2, 4 + 8 + 16))
    assert_array_equal(tracks.frames, [2, 3, 6])


def test_composed_motions_take_a_point_where_one_after_the_other_takes_it() -> None:
    affines = np.random.default_rng(0).normal(size=(5, 2, 3))
    point = np.array([3.0, -2.0])
    for affine in affines:
        moved = affine[:, :2] @ point + affine[:, 2]
        point = moved
    total = composed(affines)
    assert_allclose(total[:, :2] @ [3.0, -2.0] + total[:, 2], point)
    assert_array_equal(composed(affines[:0]), np.eye(2, 3))


def test_measured_rows_are_the_detections_and_none_where_a_track_is_predicted() -> None:
    frames = [*range(1, 21), 24]
    detections = walker(frames)
    noisy = detections._replace(boxes=detections.boxes + np.random.default_rng(0).normal(0, 2, (len(frames), 4)))
    measured = track_frames(StreamSort(), noisy, measured=True)
    estimated = track_frames(StreamSort(), noisy, image_size=(400, 300))
    assert_array_equal(measured.frames, frames)
    assert_array_equal(measured.boxes, noisy.boxes)
    assert_array_equal(estimated.frames, np.arange(1, 25))
    assert np.abs(estimated.boxes[:20] - noisy.boxes[:20]).max() > 0.5


def test_the_image_is_where_almost_all_centres_are_unless_its_size_is_given() -> None:
    detections = MotRows.concatenate([walker(list(range(1, 101)), 0), walker([100], 500)])  # one far outside
    tracker = Recorder()
    track_frames(tracker, detections)
    assert tracker.given[0]["image_size"] == (120, 100)
    track_frames(tracker, detections, image_size=(640, 480))
    assert tracker.given[-1]["image_size"] == (640, 480)


def test_no_detections_are_no_tracks() -> None:
    assert track_frames(Recorder(), walker([])).boxes.shape == (0, 4)
    tracker = Recorder()
    assert track_frames(tracker, walker([]), frames=[1, 2]).boxes.shape == (0, 4)
    assert len(tracker.given) == 2


@pytest.mark.parametrize("frames", [[0, 1], [1, 1], [3, 2]])
def test_frames_out_of_order_are_refused(frames: list[int]) -> None:
    with pytest.raises(ValueError, match=r"^expected ascending frame numbers from 1, found \d after \d$"):
        track_frames(Recorder(), walker([1, 2, 3]), frames=frames)


def test_camera_motion_that_ends_too_early_is_refused() -> None:
    with pytest.raises(ValueError, match="expected camera motion up to frame 3, found 2 entries"):
        track_frames(Recorder(), walker([1, 2, 3]), camera_motion=shifts(0, 1))


RATE_HZ = 30.0


def walk(
    track_id: int,
    frames: Sequence[int],
    *,
    pace_px: float = 4.0,
    start_px: float = 100.0,
    score: float = 0.9,
    label: int = 0,
) -> MotRows:
    """Return a track of 40 x 100 px that is `start_px` to the right in frame 0 and goes `pace_px` per frame."""
    numbers = np.array(frames, np.int64)
    left = start_px + pace_px * numbers
    corners = np.stack([left, np.full_like(left, 50), left + 40, np.full_like(left, 150)], axis=1)
    count = len(numbers)
    return MotRows(numbers, np.full(count, track_id), corners, np.full(count, score), np.full(count, label))


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


@given(st.integers(0, 2**32 - 1))
def test_the_smoother_is_the_most_likely_path(seed: int) -> None:
    """Against one dense least-squares problem over all states: what the model says, without any recursion."""
    random = np.random.default_rng(seed)
    frames = np.flatnonzero(random.random(8) < 0.7) + 3
    frames = frames if len(frames) else np.array([3])
    boxes = np.column_stack([random.normal(200, 30, (len(frames), 2)), random.uniform(20, 80, (len(frames), 2))])
    seen = Sightings(frames, boxes, random.uniform(0.3, 1, len(frames)))
    path = smooth(seen, RATE_HZ)
    assert (path.first, path.last) == (frames[0], frames[-1])
    assert_allclose(path.means, most_likely(seen), rtol=1e-6, atol=1e-6)


def most_likely(seen: Sightings) -> FloatArray:
    """Return the states (T, 6) that minimise the sum of squared deviations, each in its standard deviations."""
    times = np.arange(seen.frames[0], seen.frames[-1] + 1)
    step = np.array([1 / RATE_HZ])
    forward = transition(step)[0]
    sizes = np.interp(times, seen.frames, size(seen.boxes))
    spread = np.diag([1.0] * 4 + [FIRST_SPEED_STD**2] * 2) * sizes[0] ** 2
    first = forward @ np.append(seen.boxes[0], [0, 0])
    blocks: list[tuple[FloatArray, FloatArray, FloatArray]] = []  # A x = b with covariance S
    width = 6 * len(times)
    for k in range(len(times)):
        noise = motion_noise(sizes[k : k + 1], step)[0]
        state = np.eye(6, width, 6 * k)
        if k:
            blocks.append((state - forward @ np.eye(6, width, 6 * (k - 1)), np.zeros(6), noise))
        else:
            blocks.append((state, first, forward @ spread @ forward.T + noise))
    for frame, box, score in zip(seen.frames, seen.boxes, seen.scores, strict=True):
        deviation = MEASUREMENT_STD * np.sqrt(box[2] * box[3]) / score
        blocks.append((np.eye(4, width, 6 * (frame - times[0])), box, np.eye(4) * deviation**2))
    whiten = [np.linalg.inv(np.linalg.cholesky(covariance)) for _, _, covariance in blocks]
    rows = np.vstack([root @ block[0] for root, block in zip(whiten, blocks, strict=True)])
    values = np.concatenate([root @ block[1] for root, block in zip(whiten, blocks, strict=True)])
    solution: FloatArray = np.linalg.lstsq(rows, values)[0].reshape(-1, 6)
    return solution


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
    tracks = refined(walk(1, range(1, 31)), walk(1, range(45, 75), start_px=140))
    assert_array_equal(np.unique(tracks.ids), [1, 2])


def test_a_link_of_the_tracker_needs_less_likeness_than_a_new_one() -> None:
    for track_id, expected in ((1, [1]), (2, [1, 2])):
        tracks = refined(walk(1, range(1, 31)), walk(track_id, range(45, 75), start_px=128))
        assert_array_equal(np.unique(tracks.ids), expected)


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


@pytest.mark.parametrize(("name", "online_bar", "refined_bar"), [("MOT17-05", 63.3, 68.5), ("MOT17-10", 62.6, 65.2)])
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
