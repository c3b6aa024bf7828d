"""The loss of anchor-free models, and the choice of the loss for a network's head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from streamdet.errors import InputError
from streamdet.models.heads import DFL, REG_MAX, AnchorHead, DetectHead, anchor_points, cells
from streamdet.models.weights import Network
from streamdet.train.anchors import AnchorGains, AnchorLoss, AnchorLossParts
from streamdet.train.assign import ASSIGNERS, Assigner, Assignment, Targets, TaskAlignedAssigner
from streamdet.train.class_loss import CLASS_LOSSES, Entropy, bce
from streamdet.train.config import TrainConfig
from streamdet.train.overlap import OVERLAPS, Overlap, ciou


def build_criterion(network: Network, settings: TrainConfig) -> Criterion:
    """Return the loss for the head of `network`; gains that are None in `settings` are the published ones.

    Raises InputError for an assigner that the head cannot learn by.
    """
    stated = {name: gain for name in ("box", "cls", "dfl", "obj") if (gain := getattr(settings, name)) is not None}
    by_name: dict[str, Any] = {
        "overlap": OVERLAPS[settings.box_loss],
        "entropy": CLASS_LOSSES[settings.class_loss],
        "label_smoothing": settings.label_smoothing,
    }
    if isinstance(network.head, DetectHead):
        gains = Gains(**{name: stated[name] for name in Gains._fields if name in stated})
        return DetectionLoss(network.head, gains, ASSIGNERS[settings.assigner or "task_aligned"](), **by_name)
    if settings.assigner is not None:
        raise InputError(f"assigner: expected none for a model with anchors, found {settings.assigner!r}")
    assert isinstance(network.head, AnchorHead)
    anchor_gains = AnchorGains(**{name: stated[name] for name in AnchorGains._fields if name in stated})
    return AnchorLoss(network.head, anchor_gains, **by_name)


class Gains(NamedTuple):
    """Weights of the three parts of the loss."""

    box: float = 7.5
    cls: float = 0.5
    dfl: float = 1.5


class LossParts(NamedTuple):
    """The weighted parts of a loss, without gradient: box, classes, distribution."""

    box: float
    cls: float
    dfl: float


# Maps raw maps and targets to the loss and its weighted parts.
Criterion = Callable[[list[Tensor], Targets], tuple[Tensor, LossParts | AnchorLossParts]]


class DetectionLoss:
    """A loss of the classes, of the `overlap` of boxes, and the distribution focal loss of the sides of boxes.

    Cells learn the objects of an assignment, by default the task-aligned one, and the score of the assignment weights
    the loss of a box (TOOD, arXiv 2108.07755, eq. 4 to 6). Of the score s, s (1 - e / 2) is wanted of the class of the
    object and s e / 2 of the others, for a `label_smoothing` e. Classes that an image is not labelled for add nothing.
    """

    def __init__(
        self,
        head: DetectHead,
        gains: Gains | None = None,
        assigner: Assigner | None = None,
        *,
        overlap: Overlap = ciou,
        entropy: Entropy = bce,
        label_smoothing: float = 0.0,
    ) -> None:
        self.gains = gains or Gains()
        self._strides_px = head.strides_px
        self._assigner = assigner or TaskAlignedAssigner()
        self._overlap, self._entropy, self._smoothing = overlap, entropy, label_smoothing
        self._expected = DFL()

    def __call__(self, maps: list[Tensor], targets: Targets) -> tuple[Tensor, LossParts]:
        """Return the loss, summed over images, of the raw head `maps` [(B, 4 * REG_MAX + C, H_i, W_i), ...]."""
        rows = cells(maps).float()
        sides, logits = rows[:, :, : 4 * REG_MAX], rows[:, :, 4 * REG_MAX :]
        points, strides_px = anchor_points([m.shape[-2:] for m in maps], self._strides_px, sides.device)
        boxes = self._decode(sides, points) * strides_px
        assigned = self._assigner(logits.detach().sigmoid(), boxes.detach(), points * strides_px, strides_px, targets)
        parts = torch.stack(self._parts(sides, logits, boxes, points, strides_px, assigned, targets))
        weighted = parts * parts.new_tensor(self.gains)
        return weighted.sum() * len(logits), LossParts(*weighted.detach().tolist())

    def _parts(
        self,
        sides: Tensor,
        logits: Tensor,
        boxes: Tensor,
        points: Tensor,
        strides_px: Tensor,
        assigned: Assignment,
        targets: Targets,
    ) -> tuple[Tensor, Tensor, Tensor]:
        image, cell, score = assigned.image_index, assigned.cell, assigned.score
        wanted = torch.zeros_like(logits)
        wanted[image, cell] = score[:, None] * (self._smoothing / 2)
        wanted[image, cell, targets.class_ids[assigned.target]] = score * (1 - self._smoothing / 2)
        # Every part is divided by the sum of scores, so that batches with many and few objects weigh alike.
        total = score.sum().clamp(min=1)

        classes = (self._entropy(logits, wanted) * targets.labelled[:, None]).sum() / total

        true_boxes = targets.boxes[assigned.target]
        box = ((1 - self._overlap(boxes[image, cell], true_boxes)) * score).sum() / total

        distances = _distances(points[cell], true_boxes / strides_px[cell])
        spread = (distribution_focal(sides[image, cell], distances) * score).sum() / total
        return box, classes, spread

    def _decode(self, sides: Tensor, points: Tensor) -> Tensor:
        """Return the boxes (B, A, 4) xyxy, in cells, of the logits `sides` (B, A, 4 * REG_MAX)."""
        left_top, right_bottom = self._expected.to(sides.device)(sides).chunk(2, dim=2)
        return torch.cat((points - left_top, points + right_bottom), dim=2)


def distribution_focal(logits: Tensor, distances: Tensor) -> Tensor:
    """Return the loss (P,), mean of four sides, of `logits` (P, 4 * REG_MAX) for true `distances` (P, 4) in cells.

    The targets of a distance are the two bins beside it, weighted by their nearness (Generalized Focal Loss, arXiv
    2006.04388, eq. 6).
    """
    lower = distances.floor().long()
    # DFL = -((y_{i+1} - y) log p_i + (y - y_i) log p_{i+1})
    log_p = logits.view(*distances.shape, REG_MAX).log_softmax(2)
    above = distances - lower
    log_p_lower, log_p_upper = (log_p.gather(2, (lower + step)[..., None])[..., 0] for step in (0, 1))
    return -((1 - above) * log_p_lower + above * log_p_upper).mean(1)


def _distances(points: Tensor, boxes: Tensor) -> Tensor:
    """Return the distances (P, 4) of the sides of `boxes` (P, 4) from `points` (P, 2), clamped to the range of bins."""
    distances = torch.cat((points - boxes[:, :2], boxes[:, 2:] - points), dim=1)
    return distances.clamp(0, REG_MAX - 1 - 0.01)
