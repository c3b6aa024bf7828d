"""The loss of models that segment: that of boxes, and of the masks that cells assemble from prototypes."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from streamdet.train.assign import Assignment, Targets
from streamdet.train.loss import DetectionLoss, Predicted


class SegmentGains(NamedTuple):
    """Weights of the parts of the loss: box, classes, distribution, masks."""

    box: float = 7.5
    cls: float = 0.5
    dfl: float = 1.5
    seg: float = 7.5


class SegmentLoss(DetectionLoss):
    """A `DetectionLoss` and the loss of the mask of each cell that learns an object, see `mask_loss`."""

    gains = SegmentGains()

    def _parts(self, predicted: Predicted, assigned: Assignment, targets: Targets) -> tuple[Tensor, ...]:
        assert predicted.prototypes is not None
        assert targets.masks is not None
        prototypes, masks = predicted.prototypes.float(), targets.masks
        if masks.shape[1:] != prototypes.shape[2:]:
            masks = F.interpolate(masks[:, None], prototypes.shape[2:], mode="nearest")[:, 0]
        losses = [prototypes.sum() * 0]  # if no cell learns anything
        for image, own in enumerate(prototypes):
            rows = assigned.image_index == image
            target, coefficients = assigned.target[rows], predicted.extras[image, assigned.cell[rows]]
            stride_px = predicted.image_hw[1] / own.shape[-1]
            losses.append(mask_loss(coefficients, own, masks[target], targets.boxes[target] / stride_px).sum())
        mean = torch.stack(losses).sum() / max(len(assigned.target), 1)
        return *super()._parts(predicted, assigned, targets), mean


def mask_loss(coefficients: Tensor, prototypes: Tensor, masks: Tensor, boxes: Tensor) -> Tensor:
    """Return the losses (P,) of masks, for their `coefficients` (P, M), `prototypes` (M, h, w) of an image.

    The binary cross entropy with the true `masks` (P, h, w), 0 or 1, is summed over the cells inside the true `boxes`
    (P, 4), xyxy in cells, and divided by the area of the box (YOLACT, arXiv 1904.02689, section 3.1 and equation 1).
    """
    # M = sigma(C P)
    logits = (coefficients @ prototypes.flatten(1)).view(len(coefficients), *prototypes.shape[1:])
    entropy = F.binary_cross_entropy_with_logits(logits, masks.to(logits.dtype), reduction="none")
    height, width = prototypes.shape[1:]
    x, y = (torch.arange(size, device=boxes.device) + 0.5 for size in (width, height))
    x1, y1, x2, y2 = boxes[:, :, None].unbind(1)
    inside = ((x >= x1) & (x <= x2))[:, None, :] & ((y >= y1) & (y <= y2))[:, :, None]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1).clamp(min=1)
    return (entropy * inside).sum((1, 2)) / area
