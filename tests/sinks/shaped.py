"""Results of models that do more than detect."""

from fractions import Fraction
from typing import Any

import numpy as np

from streamdet.masks import Masks
from streamdet.result import Result
from streamdet.rows import ImageClass
from streamdet.types import Detections, Frame, Tracks

NAMES = ["person", "car", "dog"]
HW = (90, 120)
BOXES = np.array([[10, 10, 60, 85], [30, 20, 100, 90], [70, 0, 120, 50]], np.float32)
SCORES = np.array([0.6, 0.9, 0.75], np.float32)
POINTS = np.round(np.random.default_rng(1).uniform(0, 90, (3, 17, 3)), 2) / [1, 1, 100]
ROTATED = np.array([[35, 47, 60, 20, 0.61], [65, 55, 70, 20, -1.2], [95, 25, 50, 50, 0]])


def masks(hw: tuple[int, int] = HW) -> Masks:
    """Return three silhouettes with holes and parts, which overlap and fill their columns of the image."""
    values = np.random.default_rng(3).uniform(0, 255, (3, 9, 12)).astype(np.uint8)
    values[2] = 255
    return Masks(values, BOXES, [0, 0, hw[1], hw[0]], hw)


def shaped(index: int = 0, ids: tuple[int, ...] = (1, 2, 3, 4), names: list[str] = NAMES, **values: Any) -> Result:
    """Return three detections with `values`, and tracks of `ids` on the second, first and third, the last hidden."""
    frame = Frame(index, index, Fraction(1, 25), np.zeros((*HW, 3), np.uint8), "clip", 0.0)
    found = Detections(BOXES, SCORES, [0, 1, 2], names, **values)
    rows = np.array([1, 0, 2, 2])[: len(ids)]
    supports = np.array([1, 0, 2, -1])[: len(ids)]
    added = {name: getattr(found, name) for name in ("keypoints", "rotated")}
    columns: dict[str, Any] = {name: column if column is None else column[rows] for name, column in added.items()}
    tracks = Tracks(ids, BOXES[rows], SCORES[rows], rows, supports, names, **columns)
    return Result(frame, found, tracks, names, {})


def classified(index: int, probabilities: list[float], shown: ImageClass) -> Result:
    frame = Frame(index, index, Fraction(1, 25), np.zeros((*HW, 3), np.uint8), "clip", 0.0)
    found = Detections([], [], [], NAMES, probabilities=probabilities)
    return Result(frame, found, Tracks([], [], [], [], []), NAMES, {}, image_class=shown)
