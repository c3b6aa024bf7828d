"""Overlap of boxes, as a tensor that gradients flow through."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_EPS = 1e-7


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (...) of xyxy boxes `a` and `b` (..., 4), which broadcast."""
    top_left = torch.maximum(a[..., :2], b[..., :2])
    bottom_right = torch.minimum(a[..., 2:], b[..., 2:])
    intersection = (bottom_right - top_left).clamp(min=0).prod(-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b))
    return intersection / (area_a + area_b - intersection + _EPS)


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Return the complete IoU (...) of boxes `a` and `b` (..., 4): at most 1 (arXiv 1911.08287, eq. 10 and 11)."""
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
