"""Results in the hands of other libraries, the real ones."""

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
import supervision

from streamdet.errors import InputError
from streamdet.masks import Masks
from streamdet.options import TrackerOptions
from streamdet.pipeline.line import TrackStep
from streamdet.result import Result
from streamdet.tracking.frame_tracker import load_tracker
from streamdet.types import Detections, Frame, Tracks

NAMES = ("person", "car")
HEIGHT, WIDTH = 120, 240


def crossing() -> list[Result]:
    """The results of 40 frames: two persons walk to the right and one car drives to the left, past the middle."""
    step = TrackStep(load_tracker(TrackerOptions.tracker, 25), NAMES)
    results = []
    for k in range(40):
        boxes = np.array([[4 * k + 10, 5, 4 * k + 30, 45], [4 * k + 50, 60, 4 * k + 70, 100], [0, 0, 0, 0]], np.float32)
        boxes[2] = [180 - 4 * k, 40, 220 - 4 * k, 60]
        found = Detections(boxes, np.full(3, 0.9), np.array([0, 0, 1]), NAMES)
        frame = Frame(k, k, Fraction(1, 25), np.full((HEIGHT, WIDTH, 3), 128, np.uint8), "street", 0.0)
        results.append(step(frame, found))
    return results


def test_a_line_zone_of_supervision_counts_our_tracks() -> None:
    zone = supervision.LineZone(
        supervision.Point(WIDTH / 2, HEIGHT), supervision.Point(WIDTH / 2, 0), [supervision.Position.CENTER]
    )
    for result in crossing():
        zone.trigger(result.tracks.to_supervision())
    assert (zone.in_count_per_class, zone.out_count_per_class) == ({1: 1}, {0: 2})


def test_annotators_of_supervision_draw_on_our_picture_with_our_names() -> None:
    annotators: list[Any] = [supervision.BoxAnnotator(), supervision.LabelAnnotator(), supervision.TraceAnnotator()]
    for result in crossing():
        picture, tracks = result.frame.to_ndarray(), result.tracks.to_supervision()
        changes = []
        for annotator in annotators:
            before = picture.copy()
            picture = annotator.annotate(picture, tracks)
            changes.append(bool((picture != before).any()))
        assert (result.frame.image == 128).all()
    assert changes == [True, True, True]
    assert tracks["class_name"].tolist() == ["person", "person", "car"]
    assert tracks[tracks["class_name"] == "car"].tracker_id.tolist() == [3]


def test_arrays_of_supervision_are_its_own() -> None:
    result = crossing()[-1]
    for rows in (result.detections, result.tracks):
        other = rows.to_supervision()
        other.xyxy[:] = 0
        assert (rows.boxes[:, 2] > 0).all()


def test_opencv_draws_on_a_copy_of_the_frame() -> None:
    result = crossing()[0]
    frame = result.frame
    np.testing.assert_array_equal(result.draw(order="bgr")[..., ::-1], result.draw())
    picture = frame.to_ndarray(order="bgr")
    cv2.circle(picture, (5, 5), 3, (255, 0, 0), cv2.FILLED)
    assert picture[5, 5].tolist() == [255, 0, 0]
    with pytest.raises(InputError, match="order must be rgb or bgr, got 'gbr'"):
        frame.to_ndarray("gbr")  # type: ignore[arg-type]
    assert (frame.image == 128).all()


def shaped() -> Result:
    """A result with masks, key points and rotated boxes; the second track is hidden."""
    boxes = np.array([[10, 20, 60, 80], [100, 30, 200, 90]], np.float32)
    silhouettes = Masks(np.full((1, 15, 30), 255, np.uint8), boxes[:1], [0, 0, WIDTH, HEIGHT], (HEIGHT, WIDTH))
    points = np.array([[[12, 22, 0.9], [50, 70, 0.8]], [[120, 40, 0.7], [150, 60, 0.2]]], np.float32)
    rotated = np.array([[35, 50, 40, 20, np.pi / 2], [150, 60, 80, 40, 0.0]], np.float32)
    found = Detections(boxes[:1], [0.9], [0], NAMES, silhouettes, points[:1], rotated[:1])
    tracks = Tracks([4, 5], boxes, [0.9, 0.8], [0, 1], [0, -1], NAMES, points, rotated)
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    return Result(Frame(0, 0, Fraction(1, 25), image, "street", 0.0), found, tracks, NAMES, {})


def test_supervision_draws_our_masks_and_rotated_boxes() -> None:
    result = shaped()
    tracks = result.to_supervision()
    assert tracks.mask.shape == (2, HEIGHT, WIDTH)
    assert tracks.mask.sum(axis=(1, 2)).tolist() == [50 * 60, 0]
    masked = supervision.MaskAnnotator(opacity=1.0).annotate(result.frame.to_ndarray(), tracks)
    rows, columns = np.nonzero((masked != 128).any(axis=2))
    assert [columns.min(), rows.min(), columns.max(), rows.max()] == [10, 20, 59, 79]
    outlined = supervision.OrientedBoxAnnotator(thickness=1).annotate(result.frame.to_ndarray(), tracks)
    rows, columns = np.nonzero((outlined[:, :90] != 128).any(axis=2))
    assert [columns.min(), rows.min(), columns.max(), rows.max()] == [25, 30, 45, 70]


def test_key_points_go_with_their_rows() -> None:
    result = shaped()
    for rows in (result.to_supervision(), result.tracks.to_supervision(), result.detections.to_supervision()):
        np.testing.assert_array_equal(rows[rows.class_id == 0].data["keypoints"], result.detections.keypoints)
    skeletons = supervision.KeyPoints(result.tracks.keypoints[..., :2], result.tracks.class_ids)  # type: ignore[index]
    drawn = supervision.VertexAnnotator(radius=2).annotate(result.frame.to_ndarray(), skeletons)
    assert (drawn[22, 12] != 128).any() and (drawn[60, 150] != 128).any()
    assert result.detections.to_supervision().mask.sum() == 50 * 60
