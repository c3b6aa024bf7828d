"""Overlaps of boxes as tensors with gradients; the loss of a predicted box is what its overlap lacks to 1.

Boxes are xyxy tensors (..., 4), which broadcast; an overlap (...) is at most 1, which only equal boxes reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from streamdet.train.config import BoxLoss

_EPS = 1e-7
_SHAPE_POWER = 4  # theta of SIoU

Overlap = Callable[[Tensor, Tensor], Tensor]


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (...) of boxes `a` and `b` (..., 4)."""
    return _intersection_and_union(a, b)[0]


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Return the generalized IoU (...), above -1, of boxes `a` and `b` (..., 4) (arXiv 1902.09630, algorithm 1)."""
    overlap, union = _intersection_and_union(a, b)
    enclosing = _enclosing(a, b).prod(-1)
    # IoU - |C \ (A u B)| / |C|
    return overlap - (enclosing - union) / (enclosing + _EPS)


def diou(a: Tensor, b: Tensor) -> Tensor:
    """Return the distance IoU (...), above -1, of boxes `a` and `b` (..., 4) (arXiv 1911.08287, eq. 6 and 7)."""
    return iou(a, b) - _distance(a, b)


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Return the complete IoU (...) of boxes `a` and `b` (..., 4) (arXiv 1911.08287, eq. 10 and 11)."""
    overlap = iou(a, b)
    # v = 4 / pi^2 (atan(w / h) - atan(w' / h'))^2
    angle_a, angle_b = (torch.atan(box[..., 0] / (box[..., 1] + _EPS)) for box in map(_sides, (a, b)))
    aspect = (4 / math.pi**2) * (angle_a - angle_b).square()
    with torch.no_grad():
        weight = aspect / (1 - overlap + aspect + _EPS)
    return overlap - _distance(a, b) - weight * aspect


def siou(a: Tensor, b: Tensor) -> Tensor:
    """Return the IoU less half the distance and shape costs of SIoU (...) of boxes `a` and `b` (..., 4).

    Distances count for more where the line between the centres is neither level nor upright (arXiv 2205.12740).
    """
    between = _between_centers(a, b)
    # angle cost 1 - 2 sin^2(asin(x) - pi / 4) = sin(2 asin(x)), with x = dy / sqrt(dx^2 + dy^2)
    angle = 2 * between.abs().prod(-1) / (between.square().sum(-1) + _EPS)
    # distance cost: sum over x, y of 1 - exp(-(2 - angle) (d / c)^2)
    relative = (between / (_enclosing(a, b) + _EPS)).square()
    distance = (1 - torch.exp((angle - 2)[..., None] * relative)).sum(-1)
    # shape cost: sum over w, h of (1 - exp(-|w - w'| / max(w, w')))^4
    sides_a, sides_b = _sides(a), _sides(b)
    difference = (sides_a - sides_b).abs() / (torch.maximum(sides_a, sides_b) + _EPS)
    shape = (1 - torch.exp(-difference)).pow(_SHAPE_POWER).sum(-1)
    return iou(a, b) - (distance + shape) / 2


OVERLAPS: Mapping[BoxLoss, Overlap] = MappingProxyType(
    {"ciou": ciou, "giou": giou, "diou": diou, "siou": siou, "iou": iou}
)


def _intersection_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the intersection over union (...), and the union (...)."""
    top_left = torch.maximum(a[..., :2], b[..., :2])
    bottom_right = torch.minimum(a[..., 2:], b[..., 2:])
    intersection = (bottom_right - top_left).clamp(min=0).prod(-1)
    union = _sides(a).prod(-1) + _sides(b).prod(-1) - intersection
    return intersection / (union + _EPS), union


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the squared distances (...) of the centres over the squared diagonals of the enclosing boxes."""
    # rho^2 / c^2
    return _between_centers(a, b).square().sum(-1) / (_enclosing(a, b).square().sum(-1) + _EPS)


def _sides(boxes: Tensor) -> Tensor:
    """Return the widths and heights (..., 2) of `boxes` (..., 4)."""
    return boxes[..., 2:] - boxes[..., :2]


def _enclosing(a: Tensor, b: Tensor) -> Tensor:
    """Return the width and height (..., 2) of the smallest box around `a` and `b` (..., 4)."""
    return torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])


def _between_centers(a: Tensor, b: Tensor) -> Tensor:
    """Return the vectors (..., 2) from the centres of `b` to those of `a` (..., 4)."""
    return (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
