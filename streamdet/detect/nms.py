"""Greedy non-maximum suppression without a loop over boxes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamdet.types import Float32Array

BoolArray = npt.NDArray[np.bool_]


def box_iou(boxes: Float32Array) -> Float32Array:
    """Return the pairwise intersection over union f32 (N, N) of xyxy `boxes` f32 (N, 4)."""
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)
    areas = (x2 - x1) * (y2 - y1)
    width = np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1)
    height = np.minimum(y2[:, None], y2) - np.maximum(y1[:, None], y1)
    intersection = width.clip(0) * height.clip(0)
    iou: Float32Array = intersection / (areas[:, None] + areas - intersection).clip(1e-9)
    return iou


def nms(boxes: Float32Array, class_ids: npt.NDArray[np.generic] | None, iou_threshold: float) -> BoolArray:
    """Return which of the `boxes` f32 (N, 4), sorted by falling score, greedy suppression keeps: bool (N,).

    Boxes of different `class_ids` (N,) do not suppress each other; without them every box may suppress every other.
    A box is kept when no kept box ahead of it overlaps it by more than `iou_threshold`. That definition has exactly one
    solution, and repeating it from "all kept" settles at least one more box of the order with every round.
    """
    suppresses = np.triu(box_iou(boxes) > iou_threshold, 1)
    if class_ids is not None:
        suppresses &= class_ids[:, None] == class_ids
    keep: BoolArray = np.ones(len(boxes), np.bool_)
    while True:
        settled: BoolArray = ~np.any(suppresses[keep], 0)
        if np.array_equal(settled, keep):
            return keep
        keep = settled
