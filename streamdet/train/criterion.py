"""The choice of the loss for the head of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from streamdet.errors import InputError
from streamdet.models.heads import AnchorHead, DetectHead
from streamdet.models.task_heads import ClassifyHead, PoseHead, RotatedHead, SegmentHead
from streamdet.models.weights import Network
from streamdet.train.anchors import AnchorGains, AnchorLoss
from streamdet.train.assign import ASSIGNERS, Targets
from streamdet.train.class_loss import CLASS_LOSSES
from streamdet.train.config import TrainConfig
from streamdet.train.loss import DetectionLoss
from streamdet.train.mask_loss import SegmentLoss
from streamdet.train.overlap import OVERLAPS
from streamdet.train.pose_loss import PoseLoss
from streamdet.train.rotated_loss import RotatedAssigner, RotatedLoss

# Maps the output of a head in training mode, and targets, to the loss and its weighted parts, a named tuple of floats.
Criterion = Callable[[Any, Targets], tuple[Tensor, Any]]

# The losses of heads, those of special heads first.
_LOSSES: dict[type[DetectHead], type[DetectionLoss]] = {
    SegmentHead: SegmentLoss,
    PoseHead: PoseLoss,
    RotatedHead: RotatedLoss,
    DetectHead: DetectionLoss,
}


def build_criterion(network: Network, settings: TrainConfig) -> Criterion:
    """Return the loss for the head of `network`; gains that are None in `settings` are the published ones.

    Raises InputError for an assigner that the head cannot learn by.
    """
    head = network.head
    if isinstance(head, ClassifyHead):
        return ClassificationLoss(_gains(ClassGains(), settings), settings.label_smoothing)
    by_name: dict[str, Any] = {
        "overlap": OVERLAPS[settings.box_loss],
        "entropy": CLASS_LOSSES[settings.class_loss],
        "label_smoothing": settings.label_smoothing,
    }
    if isinstance(head, AnchorHead):
        if settings.assigner is not None:
            raise InputError(f"assigner: expected none for a model with anchors, found {settings.assigner!r}")
        return AnchorLoss(head, _gains(AnchorGains(), settings), **by_name)
    loss = next(loss for kind, loss in _LOSSES.items() if isinstance(head, kind))
    assigner = ASSIGNERS[settings.assigner or "task_aligned"]()
    if loss is RotatedLoss:
        if settings.assigner not in (None, "task_aligned"):
            raise InputError(f"assigner: expected task_aligned for rotated boxes, found {settings.assigner!r}")
        assigner = RotatedAssigner()
    return loss(head, _gains(loss.gains, settings), assigner, **by_name)


def _gains(published: Any, settings: TrainConfig) -> Any:
    """Return the `published` gains with those that `settings` states."""
    stated = {name: getattr(settings, name) for name in published._fields}
    return published._replace(**{name: gain for name, gain in stated.items() if gain is not None})


class ClassGains(NamedTuple):
    """The weight of the loss of a classifier."""

    cls: float = 1.0


class ClassificationLoss:
    """The cross entropy of the labelled class of each image, averaged: published learning rates suppose a mean."""

    def __init__(self, gains: ClassGains | None = None, label_smoothing: float = 0.0) -> None:
        self.gains, self._smoothing = gains or ClassGains(), label_smoothing

    def __call__(self, logits: Tensor, targets: Targets) -> tuple[Tensor, ClassGains]:
        """Return the loss of the `logits` (B, C) of images, and its one part; an image of two classes counts twice."""
        rows = logits.float()[targets.image_index]
        entropy = F.cross_entropy(rows, targets.class_ids, reduction="sum", label_smoothing=self._smoothing)
        loss = self.gains.cls * entropy / max(len(rows), 1)
        return loss, ClassGains(loss.item())
