"""A tracker's run over a sequence: every frame, frames left out, camera motion and the size of the image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.trackers.walks import walk
from trackers.botsort import BotSort
from trackers.config import TRACKERS, parse_config
from trackers.mot import MotRows
from trackers.offline import composed, refine, track_frames
from trackers.streamsort import StreamSort
from trackers.tracker import Tracker
from trackers.types import FloatArray, Tracks


class Recorder(BotSort):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[dict[str, Any]] = []

    def update(self, boxes: Any, scores: Any, class_ids: Any, **options: Any) -> Tracks:
        self.given.append({"boxes": boxes, **options})
        return super().update(boxes, scores, class_ids, **options)


def walker(frames: Sequence[int], pace_px: float = 4.0) -> MotRows:
    """Return detections of a person of 40 x 100 px, in `frames`, whose centre is at 120 px in frame 0."""
    return walk(-1, frames, pace_px=pace_px, label=3)


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


@pytest.mark.parametrize(
    ("frames", "tracked"),
    [(None, range(1, 460)), (range(1, 10**12), range(1, 700)), (range(210, 10**12), range(210, 700))],
    ids=["to the last detection", "time stamps", "second half"],
)
@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_empty_frames_that_are_passed_over_change_nothing(name: str, frames: range | None, tracked: range) -> None:
    """Two visits with 200 empty frames before, between and after: as if every frame were tracked."""
    visits = MotRows.concatenate([walker(range(200, 230)), walker(range(430, 460))])
    config = parse_config({"tracker_type": name})
    expected = every_frame(config.build(30), visits, tracked)
    assert len(np.unique(expected.ids)) == 2
    found = track_frames(config.build(30), visits, frames=frames, image_size=(640, 480))
    for ours, theirs in zip(found, expected, strict=True):
        assert_array_equal(ours, theirs)


def every_frame(tracker: Tracker, rows: MotRows, frames: range) -> MotRows:
    """Return what `tracker` reports when it is called for each of `frames`."""
    parts = []
    for frame in frames:
        present = rows.select(rows.frames == frame)
        found = tracker.update(present.boxes, present.scores, present.class_ids, image_size=(640, 480))
        numbers = np.full(len(found.ids), frame)
        parts.append(MotRows(numbers, found.ids, found.boxes, found.scores, found.class_ids))
    return MotRows.concatenate(parts)


def test_tracks_in_frames_that_are_no_frames_are_refused() -> None:
    rows = walker([1, 10**6, 2 * 10**6])._replace(ids=np.ones(3, np.int64))
    with pytest.raises(ValueError, match="expected frames that are counted one by one, found 1000001 for 3 boxes"):
        refine(rows, frame_rate=30)
