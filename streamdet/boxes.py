"""Overlap of boxes, and non-maximum suppression (NMS): greedy ones, and those that lower scores instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from streamdet.errors import InputError
from streamdet.types import Float32Array
from streamdet.values import Suppression

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
ClassIds = npt.NDArray[np.generic]
Boxes = TypeVar("Boxes", npt.NDArray[np.float32], npt.NDArray[np.float64])
# Maps boxes (N, K) and others (M, K) to an overlap of at most 1 (N, M); overlaps to the factors that lower scores.
Overlap = Callable[[Float32Array, Float32Array], Float32Array]
Decay = Callable[[Float32Array], Float32Array]

MAX_CANDIDATES = 4096  # only a threshold near 0 leaves more rows than this
BLOCK = 256  # boxes whose overlaps are computed at once: as large as fits the cache of a core
_SIGMA = 0.5  # of the Gaussian decay, as published for soft NMS and for Matrix NMS


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


def prob_iou(boxes: Float32Array, others: Float32Array) -> Float32Array:
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


def box_diou(boxes: Float32Array, others: Float32Array) -> Float32Array:
    """Return the distance IoU f32 (N, M), in (-1, 1], of xyxy `boxes` (N, 4) and `others` (M, 4).

    It is the IoU minus the squared distance of the centres over the squared diagonal of the box that encloses both
    (arXiv 1911.08287, eq. 7).
    """
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)[:, :, None]
    u1, v1, u2, v2 = np.ascontiguousarray(others.T)
    # rho^2 / c^2
    distance = ((x1 + x2 - u1 - u2) ** 2 + (y1 + y2 - v1 - v2) ** 2) / 4
    diagonal = (np.maximum(x2, u2) - np.minimum(x1, u1)) ** 2 + (np.maximum(y2, v2) - np.minimum(y1, v1)) ** 2
    diou: Float32Array = box_iou(boxes, others) - distance / diagonal.clip(1e-9)
    return diou


def nms(boxes: Float32Array, class_ids: ClassIds | None, iou_threshold: float, overlap: Overlap = box_iou) -> BoolArray:
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
ROTATED = Comparison([0, 1, 2, 3, 6], prob_iou)


def gaussian_decay(overlaps: Float32Array) -> Float32Array:
    """Return exp(-overlap^2 / sigma) for `overlaps` of any shape (arXiv 1704.04503, section 3; 2003.10152, eq. 4)."""
    decay: Float32Array = np.exp(-(overlaps**2) / _SIGMA)
    return decay


def linear_decay(overlaps: Float32Array, threshold: float = 0.0) -> Float32Array:
    """Return 1 - overlap for `overlaps` of any shape from `threshold` on, 1 below (see `gaussian_decay`)."""
    decay: Float32Array = np.where(overlaps >= threshold, 1 - overlaps, 1)
    return decay


def soft_nms(
    rows: Float32Array,
    class_ids: ClassIds | None,
    decay: Decay,
    conf: float,
    most: int,
    compared: Comparison = UPRIGHT,
) -> Float32Array:
    """Return up to `most` of the `rows` f32 (N, >= 5), xyxy and lowered scores of at least `conf`, best first.

    The row of the highest score is taken, and lowers the scores of the others by `decay` of their overlap with it,
    again and again (Soft-NMS, arXiv 1704.04503, figure 2). Rows of different `class_ids` (N,) do not lower each other.
    """
    rows, boxes = rows.copy(), rows[:, compared.columns]
    left, taken = np.arange(len(rows)), list[int]()
    while len(left) and len(taken) < most:
        best = left[rows[left, 4].argmax()]
        if rows[best, 4] < conf:
            break
        taken.append(best)
        left = left[left != best]
        rivals = left if class_ids is None else left[class_ids[left] == class_ids[best]]
        rows[rivals, 4] *= decay(compared.overlap(boxes[best, None], boxes[rivals])[0])
    return rows[taken]


def matrix_nms(
    boxes: Float32Array, class_ids: ClassIds | None, decay: Decay, overlap: Overlap = box_iou
) -> Float32Array:
    """Return the factors f32 (N,), in [0, 1], that lower the scores of the `boxes` f32 (N, K), best first.

    Each box before it lowers a box by `decay` of their `overlap`; less so as it is itself overlapped by one before it
    (Matrix NMS, arXiv 2003.10152, eq. 4 and 5). Boxes of different `class_ids` (N,) do not lower each other.
    """
    largest, factors = np.zeros((2, len(boxes)), np.float32)  # largest overlap with a box before
    for start in range(0, len(boxes), BLOCK):
        block = slice(start, start + BLOCK)
        overlaps = np.triu(overlap(boxes[: block.stop], boxes[block]), 1 - start)
        if class_ids is not None:
            overlaps *= class_ids[: block.stop, None] == class_ids[block]
        largest[block] = overlaps.max(0)
        # min_i f(iou_ij) / f(max_k iou_ki)
        factors[block] = (decay(overlaps) / decay(largest[: block.stop, None]).clip(1e-6)).min(0)
    return factors.clip(0, 1)


@dataclass(frozen=True, slots=True)
class Selection:
    """The choice of the rows of a model that become detections.

    Rows need a score of at least `conf`, and one of `class_ids` if given. Non-maximum suppression compares them within
    their class or, if `agnostic`, among all classes. Of the rest the best `max_det` are kept. `nms` is the kind of
    suppression:

    - ``greedy`` and ``diou`` remove the rows whose IoU, or distance IoU, with a better one is above `iou`.
    - ``soft``, ``soft-linear``: see `soft_nms`; the linear decay begins at the IoU `iou`.
    - ``matrix``, ``matrix-linear``: see `matrix_nms`.
    - ``none`` keeps all rows, for models whose rows are one per object.

    Raises InputError when a value is out of range.
    """

    conf: float = 0.25
    iou: float = 0.7
    max_det: int = 300
    agnostic: bool = False
    class_ids: tuple[int, ...] | None = None
    nms: Suppression = "greedy"

    def __post_init__(self) -> None:
        for name, value in (("conf", self.conf), ("iou", self.iou)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} must be between 0 and 1, got {value}")
        if self.max_det < 1:
            raise InputError(f"max_det must be at least 1, got {self.max_det}")
        if self.nms not in get_args(Suppression):
            raise InputError(f"nms must be one of {', '.join(get_args(Suppression))}, got {self.nms!r}")

    def kept(self, rows: Float32Array, compared: Comparison = UPRIGHT) -> Float32Array:
        """Return the rows f32 (N, 6 + E) to keep of `rows` f32 (A, 6 + E), best first.

        A row is xyxy in model px, score, class id, and what the task adds. The scores of soft and Matrix NMS are the
        lowered ones.
        """
        rows = rows[rows[:, 4] >= self.conf]
        if self.class_ids is not None:
            rows = rows[np.isin(rows[:, 5], self.class_ids)]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")[:MAX_CANDIDATES]]
        return self._suppressed(rows, None if self.agnostic else rows[:, 5], compared)[: self.max_det]

    def _suppressed(self, rows: Float32Array, class_ids: ClassIds | None, compared: Comparison) -> Float32Array:
        """Return what `nms` leaves of `rows` f32 (N, 6 + E), best first; those of other `class_ids` are apart."""
        boxes, overlap = rows[:, compared.columns], compared.overlap
        match self.nms:
            case "none":
                return rows
            case "greedy" | "diou":
                # The overlap of rotated boxes takes the distance of their centres into account.
                is_diou = self.nms == "diou" and compared is UPRIGHT
                return rows[nms(boxes, class_ids, self.iou, box_diou if is_diou else overlap)]
            case "soft" | "soft-linear":
                decay = gaussian_decay if self.nms == "soft" else partial(linear_decay, threshold=self.iou)
                return soft_nms(rows, class_ids, decay, self.conf, self.max_det, compared)
            case "matrix" | "matrix-linear":
                rows, fading = rows.copy(), gaussian_decay if self.nms == "matrix" else linear_decay
                rows[:, 4] *= matrix_nms(boxes, class_ids, fading, overlap)
                rows = rows[rows[:, 4] >= self.conf]
                return rows[np.argsort(-rows[:, 4], kind="stable")]
