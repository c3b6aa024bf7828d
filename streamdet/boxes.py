"""Overlap of boxes, and greedy non-maximum suppression without a loop over boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from streamdet.errors import InputError
from streamdet.types import Float32Array

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Boxes = TypeVar("Boxes", npt.NDArray[np.float32], npt.NDArray[np.float64])

# Maps boxes (N, K) and others (M, K) to an overlap of at most 1 (N, M).
Overlap = Callable[[Float32Array, Float32Array], Float32Array]
MAX_CANDIDATES = 4096  # only a threshold near 0 leaves more rows than this
BLOCK = 256  # boxes whose overlaps are computed at once: as large as fits the cache of a core


def box_iou(boxes: Boxes, others: Boxes) -> Boxes:
    """Return the intersection over union (N, M) of xyxy `boxes` (N, 4) and `others` (M, 4), of their dtype."""
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)[:, :, None]
    u1, v1, u2, v2 = np.ascontiguousarray(others.T)
    width = np.minimum(x2, u2) - np.maximum(x1, u1)
    height = np.minimum(y2, v2) - np.maximum(y1, v1)
    intersection = width.clip(0) * height.clip(0)
    # IoU = |A & B| / (|A| + |B| - |A & B|)
    iou: Boxes = intersection / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - intersection).clip(1e-9)
    return iou


def rotated_iou(boxes: Float32Array, others: Float32Array) -> Float32Array:
    """Return the probabilistic IoU f32 (N, M) of `boxes` (N, 5) and `others` (M, 5), each xyxy and an angle in rad.

    The box is turned by the angle around its centre. The boxes are compared as Gaussian distributions: 1 minus their
    Hellinger distance (ProbIoU, arXiv 2106.06072, eq. 2 to 4).
    """
    own, other = _gaussians(boxes)[:, :, None], _gaussians(others)[:, None]
    dx, dy = own[:2] - other[:2]
    a, b, c = own[2:] + other[2:]
    determinant = a * b - c**2
    spread = np.sqrt(_determinants(boxes)[:, None] * _determinants(others))
    # B_D = 1/4 (a dy^2 + b dx^2 - 2 c dx dy) / |S1 + S2| + 1/2 ln(|S1 + S2| / (4 sqrt(|S1| |S2|)))
    distance = (a * dy**2 + b * dx**2 - 2 * c * dx * dy) / (4 * determinant.clip(1e-9))
    distance += np.log((determinant / (4 * spread).clip(1e-9)).clip(1)) / 2
    iou: Float32Array = 1 - np.sqrt(-np.expm1(-distance))
    return iou


def _gaussians(boxes: Float32Array) -> Float32Array:
    """Return the centres and the covariances, x, y, a, b, c, of boxes (N, 5) as f32 (5, N)."""
    x1, y1, x2, y2, angle = boxes.T
    along, across = (x2 - x1) ** 2 / 12, (y2 - y1) ** 2 / 12
    cos, sin = np.cos(angle), np.sin(angle)
    covariance = along * cos**2 + across * sin**2, along * sin**2 + across * cos**2, (along - across) * cos * sin
    gaussians: Float32Array = np.stack([(x1 + x2) / 2, (y1 + y2) / 2, *covariance])
    return gaussians


def _determinants(boxes: Float32Array) -> Float32Array:
    """Return the determinants f32 (N,) of the covariances of boxes (N, 5)."""
    determinants: Float32Array = np.square((boxes[:, 2:4] - boxes[:, :2]).prod(1) / 12)
    return determinants


def nms(
    boxes: Float32Array,
    class_ids: npt.NDArray[np.generic] | None,
    iou_threshold: float,
    overlap: Overlap = box_iou,
) -> BoolArray:
    """Return which of the `boxes` f32 (N, K), xyxy, sorted by falling score, greedy suppression keeps: bool (N,).

    A box is kept when no kept box before it overlaps it by more than `iou_threshold`. Boxes of different `class_ids`
    (N,) do not suppress each other; without class ids every box may suppress every other.

    Blocks of boxes are settled one after the other, so that only two blocks are compared at a time, and the first ones
    remove most boxes where there are many.
    """

    def overlapping(rows: IntArray, others: IntArray) -> BoolArray:
        """Return which of the boxes `rows` (K,) would suppress which of `others` (M,), bool (K, M)."""
        overlaps: BoolArray = overlap(boxes[rows], boxes[others]) > iou_threshold
        if class_ids is not None:
            overlaps &= class_ids[rows, None] == class_ids[others]
        return overlaps

    settled: list[IntArray] = []
    for start in range(0, len(boxes), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(boxes)))
        for kept in settled:
            rows = rows[~overlapping(kept, rows).any(0)]
        settled.append(rows[_greedy(np.triu(overlapping(rows, rows), 1))])
    keep: BoolArray = np.zeros(len(boxes), np.bool_)
    keep[np.concatenate([*settled, np.zeros(0, np.int64)])] = True
    return keep


def _greedy(suppresses: BoolArray) -> BoolArray:
    """Return which boxes (N,) remain when each that remains removes the later ones that it `suppresses` (N, N).

    The definition has exactly one solution. Applied to all boxes at once, starting from "all kept", each round settles
    at least one more box in the order of their scores.
    """
    keep: BoolArray = np.ones(len(suppresses), np.bool_)
    while True:
        settled: BoolArray = ~np.any(suppresses[keep], 0)
        if np.array_equal(settled, keep):
            return keep
        keep = settled


class Comparison(NamedTuple):
    """How two rows of a model are compared: the `overlap` of their `columns`."""

    columns: slice | list[int]
    overlap: Overlap


UPRIGHT = Comparison(slice(0, 4), box_iou)
ROTATED = Comparison([0, 1, 2, 3, 6], rotated_iou)


@dataclass(frozen=True, slots=True)
class Selection:
    """The choice of the rows of a model that become detections.

    Rows need a score of at least `conf`, and one of `class_ids` if given. Greedy NMS at the threshold `iou` compares
    them within their class or, if `agnostic`, among all classes. Of the rest the best `max_det` are kept. Raises
    InputError when a value is out of range.
    """

    conf: float = 0.25
    iou: float = 0.7
    max_det: int = 300
    agnostic: bool = False
    class_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name, value in (("conf", self.conf), ("iou", self.iou)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} must be between 0 and 1, got {value}")
        if self.max_det < 1:
            raise InputError(f"max_det must be at least 1, got {self.max_det}")

    def kept(self, rows: Float32Array, compared: Comparison = UPRIGHT) -> Float32Array:
        """Return the rows f32 (N, 6 + E) to keep of `rows` f32 (A, 6 + E), best first.

        A row is xyxy in model px, score, class id, and what the task adds.
        """
        rows = rows[rows[:, 4] >= self.conf]
        if self.class_ids is not None:
            rows = rows[np.isin(rows[:, 5], self.class_ids)]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")[:MAX_CANDIDATES]]
        class_ids = None if self.agnostic else rows[:, 5]
        keep = nms(rows[:, compared.columns], class_ids, self.iou, compared.overlap)
        kept: Float32Array = rows[keep][: self.max_det]
        return kept
