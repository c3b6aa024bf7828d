"""Top-1 and top-5 of images whose probabilities are chosen."""

import math

import numpy as np
import pytest

from streamdet.evaluate.classify import score_classification
from streamdet.evaluate.det import ScoredImage
from streamdet.types import Detections

NAMES = tuple("abcdefgh")
WHOLE = np.array([[0, 0, 10, 10]], np.float32)


def image(class_id: int, probabilities: list[float]) -> ScoredImage:
    found = Detections(np.zeros((0, 4)), [], np.zeros(0, np.int64), probabilities=probabilities)
    return ScoredImage((10, 10), np.array([class_id]), WHOLE, found, (True,) * len(NAMES))


def test_the_rank_of_the_class_counts() -> None:
    falling = [0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.04, 0.01]
    scores = score_classification([image(class_id, falling) for class_id in (0, 0, 1, 4, 5)], NAMES)
    assert (scores.top1, scores.top5) == pytest.approx((0.4, 0.8))
    assert (scores.by_class["a"].images, scores.by_class["a"].top1) == (2, 1)
    assert (scores.by_class["e"].top1, scores.by_class["e"].top5) == (0, 1)
    assert (scores.by_class["f"].top5, scores.by_class["h"].images) == (0, 0)
    assert math.isnan(scores.by_class["h"].top1)


def test_classes_of_equal_probability_are_not_first() -> None:
    assert score_classification([image(3, [0.125] * 8)], NAMES).top5 == 0


def test_without_images_there_is_no_score() -> None:
    assert math.isnan(score_classification([], NAMES).top1)
