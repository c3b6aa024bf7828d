"""How unlike a track and a detection are: matrices (N, M), rows are tracks, 0 is a perfect match and 1 none."""

from __future__ import annotations

import numpy as np

from trackers.rows import BoolArray, FloatArray


def iou(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Return the intersection over union (N, M) of boxes x1, y1, x2, y2; a box without area overlaps none."""
    overlap = _common(boxes, others, axis=0) * _common(boxes, others, axis=1)
    union = _areas(boxes)[:, None] + _areas(others) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def _common(boxes: FloatArray, others: FloatArray, axis: int) -> FloatArray:
    """Return the length (N, M) that two sets of boxes have in common along an axis, 0 for x and 1 for y."""
    start = np.maximum.outer(boxes[:, axis], others[:, axis])
    end = np.minimum.outer(boxes[:, axis + 2], others[:, axis + 2])
    length: FloatArray = np.maximum(end - start, 0)
    return length


def _areas(boxes: FloatArray) -> FloatArray:
    x1, y1, x2, y2 = boxes.T
    areas: FloatArray = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
    return areas


def iou_cost(similarity: FloatArray, scores: FloatArray | None = None) -> FloatArray:
    """Return ``1 - IoU``, or with the `scores` (M,) of the detections ``1 - IoU * score``: sure detections go first."""
    return 1 - (similarity if scores is None else similarity * scores)


def cosine_distance(features: FloatArray, others: FloatArray) -> FloatArray:
    """Return ``1 - cos`` (N, M) of two sets of unit vectors; the zero vector (unknown) is at distance 1 from all."""
    return 1 - features @ others.T


def with_appearance(cost: FloatArray, distance: FloatArray, gate: BoolArray) -> FloatArray:
    """Return the lower of `cost` and half the appearance `distance` where `gate` admits it (BoT-SORT, eq. 12, 13)."""
    # C = min(d_iou, d_cos / 2 if near and alike else 1)
    return np.minimum(cost, np.where(gate, distance / 2, 1.0))
