"""The loss of models for poses: that of boxes, and of the places and visibility of key points."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from streamdet.evaluate.measures import keypoint_sigmas
from streamdet.models.heads import DetectHead
from streamdet.models.task_heads import PoseHead, decode_points
from streamdet.train.assign import Assignment, Targets
from streamdet.train.loss import DetectionLoss, Predicted


class PoseGains(NamedTuple):
    """Weights of the parts of the loss: box, classes, distribution, places of key points, their visibility."""

    box: float = 7.5
    cls: float = 0.5
    dfl: float = 1.5
    pose: float = 12.0
    kobj: float = 1.0


class PoseLoss(DetectionLoss):
    """A `DetectionLoss` and the loss of the key points of each cell that learns an object, see `keypoint_loss`.

    An object without any labelled key point says nothing of its pose.
    """

    gains = PoseGains()

    def __init__(self, head: DetectHead, *args: Any, **options: Any) -> None:
        assert isinstance(head, PoseHead)
        super().__init__(head, *args, **options)
        self._kpt_shape = head.kpt_shape

    def _parts(self, predicted: Predicted, assigned: Assignment, targets: Targets) -> tuple[Tensor, ...]:
        assert targets.keypoints is not None
        known = (targets.keypoints[assigned.target, :, 2] > 0).any(1)
        target, cell = assigned.target[known], assigned.cell[known]
        logits = predicted.extras[assigned.image_index[known], cell].view(-1, *self._kpt_shape)
        truth = targets.keypoints[target]
        xy = decode_points(logits[:, :, :2].movedim(0, 2), predicted.points[cell].T).movedim(2, 0)
        places = xy * predicted.strides_px[cell, None]
        place = keypoint_loss(places, truth, targets.boxes[target])
        labelled = (truth[:, :, 2:] > 0).to(logits.dtype)[:, :, : logits.shape[2] - 2]
        visible = _mean(F.binary_cross_entropy_with_logits(logits[:, :, 2:], labelled, reduction="none"))
        return *super()._parts(predicted, assigned, targets), _mean(place), visible


def keypoint_loss(places: Tensor, truth: Tensor, boxes: Tensor) -> Tensor:
    """Return the losses (P,) of the predicted `places` (P, K, 2) of key points, 1 - OKS of the labelled ones.

    `truth` (P, K, 3) are the true places and labels, at least one of which is not 0, and `boxes` (P, 4) the true boxes,
    xyxy, all in px. The object key point similarity takes the area of the box as that of the object (YOLO-Pose, arXiv
    2204.06806, eq. 3).
    """
    # OKS_n = exp(-d_n^2 / (2 s^2 k_n^2))  with k_n = 2 sigma_n and s^2 the area
    scale = 2 * places.new_tensor(keypoint_sigmas(places.shape[1]))
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1).clamp(min=1)
    similarity = torch.exp(-(places - truth[:, :, :2]).square().sum(2) / (2 * area[:, None] * scale.square()))
    labelled = (truth[:, :, 2] > 0).to(places.dtype)
    return ((1 - similarity) * labelled).sum(1) / labelled.sum(1)


def _mean(losses: Tensor) -> Tensor:
    """Return the mean, 0 without any."""
    return losses.sum() / max(losses.numel(), 1)
