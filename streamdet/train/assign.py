"""The targets of a batch, and the assignment of cells to the objects that they learn, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from streamdet.train.config import AssignerName
from streamdet.train.overlap import ciou, iou

_EPS = 1e-7


@dataclass(frozen=True, slots=True)
class Targets:
    """The N labelled objects of B images, in the order of the images.

    `boxes` f32 (N, 4) xyxy in model px, `class_ids` i64 (N,), `image_index` i64 (N,) ascending in 0 .. B - 1;
    `labelled` bool (B, C): the classes that an image is labelled for. Its objects of other classes are not known.
    A task adds one of these:

    - `masks` u8 (N, h, w), 1 where a cell of the whole image belongs to the object (segment).
    - `keypoints` f32 (N, K, 3), x and y in model px, and 0 for a point that is not labelled (pose).
    - `rotated` f32 (N, 5), as in `streamdet.types.Detections`, in model px (obb).
    """

    boxes: Tensor
    class_ids: Tensor
    image_index: Tensor
    labelled: Tensor
    masks: Tensor | None = None
    keypoints: Tensor | None = None
    rotated: Tensor | None = None

    def to(self, device: torch.device | str) -> Targets:
        """Return the same targets on `device`."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items() if tensor is not None}
        return replace(self, **moved)

    def scaled(self, factor: float) -> Targets:
        """Return the targets of images resized by `factor`; masks keep their cells."""
        keypoints, rotated = self.keypoints, self.rotated
        if keypoints is not None:
            keypoints = keypoints * keypoints.new_tensor([factor, factor, 1])
        if rotated is not None:
            rotated = rotated * rotated.new_tensor([factor] * 4 + [1])
        return replace(self, boxes=self.boxes * factor, keypoints=keypoints, rotated=rotated)


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


class Assigner(Protocol):
    """Chooses the cells that learn each object."""

    def __call__(
        self, scores: Tensor, boxes: Tensor, points_px: Tensor, strides_px: Tensor, targets: Targets
    ) -> Assignment:
        """Return the cells for `targets`, given the predicted `scores` (B, A, C) in [0, 1] and `boxes` (B, A, 4) xyxy.

        `points_px` (A, 2) are the centres, `strides_px` (A, 1) the sides of the cells, level by level.
        """


@dataclass(frozen=True, slots=True)
class TaskAlignedAssigner:
    """Assigns to every object the `candidates` cells inside it with the best alignment of class score and box.

    The assignment of TOOD (task-aligned, arXiv 2108.07755, section 3.3).
    A cell that is a candidate of several objects goes to the one that its predicted box overlaps most. A box smaller
    than a cell counts as large as a cell, so that it has a cell inside: otherwise it would never be learned.
    """

    candidates: int = 10
    alpha: float = 0.5
    beta: float = 6.0

    @torch.no_grad()
    def __call__(
        self, scores: Tensor, boxes: Tensor, points_px: Tensor, strides_px: Tensor, targets: Targets
    ) -> Assignment:
        """See `Assigner`."""
        image, inside = targets.image_index, self._inside(points_px, targets, strides_px.min())
        overlap = self._overlap(targets, boxes[image]).clamp(min=0)
        # t = s^alpha u^beta
        score = scores[image, :, targets.class_ids]
        alignment = score.pow(self.alpha) * overlap.pow(self.beta)

        # Cells inside rank before cells outside, also where neither fits at all.
        ranked = alignment.masked_fill(~inside, -1)
        best = torch.topk(ranked, min(self.candidates, len(points_px)), dim=1).indices
        target, cell = _pairs(image, best, inside.gather(1, best), overlap.gather(1, best), len(points_px))

        # t^ = t / max t * max u, maxima over the cells of the object
        aligned, overlapped = alignment[target, cell], overlap[target, cell]
        # t of a small object without a good box yet is far below 1e-9: a constant added to the divisor would hide it.
        most_aligned = _largest(aligned, target, len(image)).clamp(min=torch.finfo(aligned.dtype).tiny)
        score = aligned / most_aligned * _largest(overlapped, target, len(image))
        return Assignment(image[target], cell, target, score)

    def _inside(self, points_px: Tensor, targets: Targets, smallest_px: Tensor) -> Tensor:
        """Return whether each of the `points_px` (A, 2) lies in each object, bool (N, A)."""
        return _inside(points_px, targets.boxes, smallest_px)

    def _overlap(self, targets: Targets, boxes: Tensor) -> Tensor:
        """Return the overlap (N, A) of each object with `boxes` (N, A, 4)."""
        return ciou(targets.boxes[:, None], boxes)


@dataclass(frozen=True, slots=True)
class SimOtaAssigner:
    """Assigns to every object the cells of lowest cost near its centre, as many as its predicted boxes fit it well.

    The simplified optimal transport of YOLOX (arXiv 2107.08430, section 2.2): a cell is near the centre of an object
    that is at most `radius` of its sides away, and inside it. The cost of a pair is the cross entropy of the classes
    plus `box_weight` times -ln IoU, and the number of cells the sum of the `candidates` largest IoU, at least 1 (OTA,
    arXiv 2103.14259, section 3.3). A cell that several objects want goes to the one of lowest cost; the score is the
    IoU. A box smaller than a cell counts as large as a cell.
    """

    radius: float = 2.5
    box_weight: float = 3.0
    candidates: int = 10

    @torch.no_grad()
    def __call__(
        self, scores: Tensor, boxes: Tensor, points_px: Tensor, strides_px: Tensor, targets: Targets
    ) -> Assignment:
        """See `Assigner`."""
        image = targets.image_index
        near = (_from_centers(points_px, targets.boxes).abs() <= self.radius * strides_px).all(2)
        eligible = near & _inside(points_px, targets.boxes, strides_px.min())
        overlap = iou(targets.boxes[:, None], boxes[image]) * eligible
        cost = self._class_cost(scores, targets) - self.box_weight * (overlap + _EPS).log()

        most = min(self.candidates, len(points_px))
        count = overlap.topk(most, dim=1).values.sum(1).floor().clamp(min=1)
        best = torch.topk(cost.masked_fill(~eligible, torch.inf), most, dim=1, largest=False).indices
        chosen = eligible.gather(1, best) & (torch.arange(most, device=best.device) < count[:, None])
        target, cell = _pairs(image, best, chosen, -cost.gather(1, best), len(points_px))
        return Assignment(image[target], cell, target, overlap[target, cell])

    def _class_cost(self, scores: Tensor, targets: Targets) -> Tensor:
        """Return the cross entropy (N, A) of the labelled classes of each cell, if the class of an object is true."""
        said = scores.clamp(_EPS, 1 - _EPS)
        absent = -((1 - said).log() * targets.labelled[:, None]).sum(2)
        own = said[targets.image_index, :, targets.class_ids]
        # -ln p of the true class in place of its -ln(1 - p)
        return absent[targets.image_index] + (1 - own).log() - own.log()


@dataclass(frozen=True, slots=True)
class AtssAssigner:
    """Assigns to every object the cells whose squares overlap it by more than is usual among the nearest.

    Adaptive training sample selection (arXiv 1912.02424, algorithm 1): of the `candidates` nearest cells of each level
    those learn an object that are inside it and whose square, `scale` cells wide, has at least the mean plus the
    standard deviation of all their IoU with it. A cell that several objects want goes to the one of larger IoU. The
    score is the IoU of the predicted box, as in VarifocalNet (arXiv 2008.13367). A box smaller than a cell counts as
    large as a cell.
    """

    candidates: int = 9
    scale: float = 8.0

    @torch.no_grad()
    def __call__(
        self, scores: Tensor, boxes: Tensor, points_px: Tensor, strides_px: Tensor, targets: Targets
    ) -> Assignment:
        """See `Assigner`."""
        image = targets.image_index
        nearest = self._nearest(points_px, strides_px, targets.boxes)
        half = self.scale / 2 * strides_px
        squares = torch.cat((points_px - half, points_px + half), dim=1)
        overlap = iou(targets.boxes[:, None], squares[nearest])
        # t_g = m_g + v_g
        mean = overlap.mean(1, keepdim=True)
        usual = mean + (overlap - mean).square().mean(1, keepdim=True).sqrt()
        inside = _inside(points_px, targets.boxes, strides_px.min()).gather(1, nearest)
        # Equal ones are as large as their mean, but for its rounding.
        chosen = inside & (overlap >= usual - _EPS)
        target, cell = _pairs(image, nearest, chosen, overlap, len(points_px))
        return Assignment(image[target], cell, target, iou(targets.boxes[target], boxes[image[target], cell]))

    def _nearest(self, points_px: Tensor, strides_px: Tensor, boxes: Tensor) -> Tensor:
        """Return the `candidates` cells of each level that are nearest to the centres of `boxes` (N, 4): i64 (N, K)."""
        distance = _from_centers(points_px, boxes).square().sum(2)
        first, nearest = 0, list[Tensor]()
        for count in torch.unique_consecutive(strides_px, return_counts=True)[1].tolist():
            level = distance[:, first : first + count]
            nearest.append(first + level.topk(min(self.candidates, count), dim=1, largest=False).indices)
            first += count
        return torch.cat(nearest, dim=1)


ASSIGNERS: Mapping[AssignerName, Callable[[], Assigner]] = MappingProxyType(
    {"task_aligned": TaskAlignedAssigner, "simota": SimOtaAssigner, "atss": AtssAssigner}
)


def _from_centers(points: Tensor, boxes: Tensor) -> Tensor:
    """Return the vectors (N, A, 2) from the centres of `boxes` (N, 4) to `points` (A, 2)."""
    return points - ((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None]


def _inside(points: Tensor, boxes: Tensor, smallest: Tensor) -> Tensor:
    """Return whether each of the `points` (A, 2) lies in each of the `boxes` (N, 4): bool (N, A)."""
    half = (boxes[:, 2:] - boxes[:, :2]).clamp(min=smallest) / 2
    return (_from_centers(points, boxes).abs() <= half[:, None]).all(2)


def _pairs(image: Tensor, cells: Tensor, chosen: Tensor, rank: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the objects and their cells, i64 (P,) each: those of `cells` (N, K) that are `chosen` (N, K).

    A cell, one of `count`, that several objects of an `image` (N,) want goes to the one of the highest `rank` (N, K).
    """
    target, column = chosen.nonzero(as_tuple=True)
    cell = cells[target, column]
    wanted = image[target] * count + cell
    order = torch.argsort(rank[target, column], descending=True, stable=True)
    order = order[torch.argsort(wanted[order], stable=True)]
    is_first = torch.ones_like(order, dtype=torch.bool)
    is_first[1:] = wanted[order][1:] != wanted[order][:-1]
    return target[order[is_first]], cell[order[is_first]]


def _largest(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Return for each of the `values` (P,) the largest value of its group."""
    return values.new_zeros(groups).scatter_reduce(0, group, values, "amax")[group]
