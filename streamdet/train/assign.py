"""The targets of a batch, the overlap of boxes as tensors with gradients, and the cells that learn each object.

The assignment of cells is that of TOOD (task-aligned, arXiv 2108.07755, section 3.3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_EPS = 1e-7


@dataclass(frozen=True, slots=True)
class Targets:
    """The N labelled objects of B images, in the order of the images.

    `boxes` f32 (N, 4) xyxy in model px, `class_ids` i64 (N,), `image_index` i64 (N,) ascending in 0 .. B - 1;
    `labelled` bool (B, C): the classes that an image is labelled for. Its objects of other classes are not known.
    """

    boxes: Tensor
    class_ids: Tensor
    image_index: Tensor
    labelled: Tensor

    def to(self, device: torch.device | str) -> Targets:
        """Return the same targets on `device`."""
        tensors = (self.boxes, self.class_ids, self.image_index, self.labelled)
        return Targets(*(tensor.to(device, non_blocking=True) for tensor in tensors))

    def scaled(self, factor: float) -> Targets:
        """Return the targets of images resized by `factor`."""
        return Targets(self.boxes * factor, self.class_ids, self.image_index, self.labelled)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (...) of xyxy boxes `a` and `b` (..., 4), which broadcast."""
    top_left = torch.maximum(a[..., :2], b[..., :2])
    bottom_right = torch.minimum(a[..., 2:], b[..., 2:])
    intersection = (bottom_right - top_left).clamp(min=0).prod(-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b))
    return intersection / (area_a + area_b - intersection + _EPS)


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Return the complete IoU (...), at most 1, of boxes `a` and `b` (..., 4) (arXiv 1911.08287, eq. 10 and 11)."""
    overlap = iou(a, b)
    enclosing = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    between_centers = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    # rho^2 / c^2: squared distance of the centres over the squared diagonal of the enclosing box
    distance = between_centers.square().sum(-1) / (enclosing.square().sum(-1) + _EPS)
    # v = 4 / pi^2 (atan(w / h) - atan(w' / h'))^2
    angle_a, angle_b = (torch.atan((box[..., 2] - box[..., 0]) / (box[..., 3] - box[..., 1] + _EPS)) for box in (a, b))
    aspect = (4 / math.pi**2) * (angle_a - angle_b).square()
    with torch.no_grad():
        weight = aspect / (1 - overlap + aspect + _EPS)
    return overlap - distance - weight * aspect


@dataclass(frozen=True, slots=True)
class Assignment:
    """The P cells that have an object to learn, each once.

    `image_index` i64 (P,), `cell` i64 (P,) among the A cells of all levels, `target` i64 (P,) the row in the targets,
    and `score` f32 (P,) in [0, 1]: the score for the object's class that the cell should learn.
    """

    image_index: Tensor
    cell: Tensor
    target: Tensor
    score: Tensor


@dataclass(frozen=True, slots=True)
class TaskAlignedAssigner:
    """Assigns to every object the `candidates` cells inside it with the best alignment of class score and box.

    A cell that is a candidate of several objects goes to the one that its predicted box overlaps most. A box smaller
    than a cell counts as large as a cell, so that it has a cell inside: otherwise it would never be learned.
    """

    candidates: int = 10
    alpha: float = 0.5
    beta: float = 6.0

    @torch.no_grad()
    def __call__(
        self, scores: Tensor, boxes: Tensor, points_px: Tensor, smallest_stride_px: float, targets: Targets
    ) -> Assignment:
        """Return the cells for `targets`, given the predicted `scores` (B, A, C) in [0, 1] and `boxes` (B, A, 4) xyxy.

        `points_px` (A, 2) are the cell centres, `smallest_stride_px` is the side of the smallest cell.
        """
        image = targets.image_index
        inside = _inside(points_px, targets.boxes, smallest_stride_px)
        overlap = ciou(targets.boxes[:, None], boxes[image]).clamp(min=0)
        # t = s^alpha u^beta
        score = scores[image, :, targets.class_ids]
        alignment = score.pow(self.alpha) * overlap.pow(self.beta)

        # Cells inside rank before cells outside, also where neither fits at all.
        ranked = alignment.masked_fill(~inside, -1)
        best = torch.topk(ranked, min(self.candidates, len(points_px)), dim=1).indices
        rows = torch.arange(len(image), device=best.device)[:, None].expand_as(best)
        chosen = inside[rows, best]
        target, cell = rows[chosen], best[chosen]
        single = _one_target_per_cell(image[target] * len(points_px) + cell, overlap[target, cell])
        target, cell = target[single], cell[single]

        # t^ = t / max t * max u, maxima over the cells of the object
        aligned, overlapped = alignment[target, cell], overlap[target, cell]
        # t of a small object without a good box yet is far below 1e-9: a constant added to the divisor would hide it.
        most_aligned = _largest(aligned, target, len(image)).clamp(min=torch.finfo(aligned.dtype).tiny)
        score = aligned / most_aligned * _largest(overlapped, target, len(image))
        return Assignment(image[target], cell, target, score)


def _inside(points: Tensor, boxes: Tensor, smallest: float) -> Tensor:
    """Return whether each of the `points` (A, 2) lies in each of the `boxes` (N, 4): bool (N, A)."""
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).clamp(min=smallest) / 2
    return ((points - center[:, None]).abs() <= half[:, None]).all(2)


def _one_target_per_cell(cells: Tensor, overlap: Tensor) -> Tensor:
    """Return the positions where `overlap` (P,) is largest, one for each distinct value of `cells` (P,)."""
    order = torch.argsort(overlap, descending=True, stable=True)
    order = order[torch.argsort(cells[order], stable=True)]
    is_first = torch.ones_like(order, dtype=torch.bool)
    is_first[1:] = cells[order][1:] != cells[order][:-1]
    return order[is_first]


def _largest(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Return for each of the `values` (P,) the largest value of its group."""
    return values.new_zeros(groups).scatter_reduce(0, group, values, "amax")[group]
