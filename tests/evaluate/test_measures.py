"""Masks, key points and rotated boxes, scored against figures worked out by hand."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from streamdet.data.shapes import Corners, KeyPoints, Shapes
from streamdet.evaluate.det import DetectionScores, ScoredImage, score_detections
from streamdet.evaluate.measures import keypoint_sigmas
from streamdet.masks import Masks
from streamdet.types import Detections

HW = (100, 120)
BOX = np.array([[20, 30, 60, 70]], np.float32)  # 40 x 40 px


def scored(shapes: Shapes, detections: Detections, by: str, boxes: npt.NDArray[np.float32] = BOX) -> DetectionScores:
    class_ids = np.zeros(len(boxes), np.int64)
    image = ScoredImage(HW, class_ids, boxes, detections, (True,), shapes)
    scores = score_detections([image], ["thing"], by=by)
    assert score_detections([image.packed()], ["thing"], by=by).map50_95 == pytest.approx(scores.map50_95, nan_ok=True)
    return scores


def masked(columns: int, score: float = 0.9) -> Detections:
    """Return a detection whose silhouette has the first `columns` columns of `BOX`."""
    values = np.zeros((1, *HW), np.uint8)
    values[0, 30:70, 20 : 20 + columns] = 255
    masks = Masks(values, BOX, [0, 0, HW[1], HW[0]], HW)
    return Detections(BOX, [score], [0], masks=masks)


@pytest.mark.parametrize(("columns", "passed"), [(40, 10), (31, 6), (21, 1), (19, 0)])
def test_masks_are_compared_by_their_pixels(columns: int, passed: int) -> None:
    square = Shapes(np.array([(20, 30), (60, 30), (60, 70), (20, 70)], np.float32), np.array([4]))
    scores = scored(square, masked(columns), "masks")
    # IoU = columns / 40, compared with 0.5, 0.55 .. 0.95; the boxes are equal.
    assert scores.map50_95 == pytest.approx(passed / 10)
    assert scored(square, masked(columns), "boxes").map50_95 == pytest.approx(1)


def posed(points: npt.ArrayLike) -> Detections:
    return Detections(BOX, [0.9], [0], keypoints=np.asarray(points, np.float32)[None])


@pytest.mark.parametrize(("similarity", "passed"), [(0.999, 10), (0.72, 5), (0.52, 1), (0.48, 0)])
def test_key_points_are_compared_by_their_distance(similarity: float, passed: int) -> None:
    # With 2 key points sigma is 1 / 2:  OKS = exp(-d^2 / (2 area))
    away = math.sqrt(-2 * 0.53 * 1600 * math.log(similarity))
    truth = KeyPoints(np.array([(30, 40, 2), (50, 60, 1)], np.float32), np.array([2]))
    found = posed([(30 + away, 40, 1), (50, 60 - away, 0)])
    assert scored(truth, found, "keypoints").map50_95 == pytest.approx(passed / 10)


def test_only_labelled_key_points_count() -> None:
    truth = KeyPoints(np.array([(30, 40, 2), (50, 60, 0)], np.float32), np.array([2]))
    assert scored(truth, posed([(30, 40, 1), (0, 0, 1)]), "keypoints").map50_95 == pytest.approx(1)


def test_an_object_without_key_points_is_neither_missed_nor_found() -> None:
    boxes = np.concatenate([BOX, BOX + 40])
    truth = KeyPoints(np.array([(30, 40, 2), (50, 60, 2), (0, 0, 0), (0, 0, 0)], np.float32), np.array([2, 2]))
    points = np.array([[(30, 40, 1), (50, 60, 1)], [(70, 80, 1), (90, 95, 1)]], np.float32)
    both = Detections(boxes, [0.8, 0.9], [0, 0], keypoints=points)
    scores = scored(truth, both, "keypoints", boxes)
    assert scores.map50_95 == pytest.approx(1)
    thing = scores.by_class["thing"]
    assert (thing.truths, thing.precision, thing.recall) == (1, 1, 1)


def test_a_person_has_the_deviations_of_coco() -> None:
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    np.testing.assert_allclose(keypoint_sigmas(17), cocoeval.Params("keypoints").kpt_oks_sigmas)
    assert keypoint_sigmas(4) == (0.25,) * 4


def corners(rotated: list[float]) -> npt.NDArray[np.float32]:
    cx, cy, width, height, angle = rotated
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    sides = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    return np.array([(cx, cy) + along * width / 2 * x + across * height / 2 * y for x, y in sides], np.float32)


SQUARE, TURNED = ([60, 50, 20, 20, angle] for angle in (0.3, 0.3 + math.pi / 4))


def test_rotated_boxes_are_matched_best_first() -> None:
    shapes = Corners(np.concatenate([corners(SQUARE), corners([100, 20, 20, 10, 1.0])]), np.array([4, 4]))
    boxes = shapes.boxes(BOX)
    # The second of two that fit the same square is wrong; the other object is found with its sides exchanged.
    rotated = [TURNED, SQUARE, [100, 20, 10, 20, 1.0 + math.pi / 2]]
    found = Detections(boxes[[0, 0, 1]], [0.7, 0.9, 0.8], [0, 0, 0], rotated=rotated)
    scores = scored(shapes, found, "rotated", boxes)
    assert scores.map50_95 == pytest.approx(1)
    thing = scores.by_class["thing"]
    assert (thing.precision, thing.recall, thing.threshold) == pytest.approx((1, 1, 0.8))
    alone = Detections(boxes[[0, 1]], [0.7, 0.8], [0, 0], rotated=rotated[::2])
    # At 0.5 to 0.7 both fit, above that only the second: a recall of one half.
    half = (51 + 0) / 101
    assert scored(shapes, alone, "rotated", boxes).map50_95 == pytest.approx((5 + 5 * half) / 10, abs=1e-6)
