"""Losses of class scores: each maps `logits` and the scores `wanted` in [0, 1], of one shape, to losses of that shape.

Where nothing is in a place, 0 is wanted of all classes. p is the sigmoid of a logit, y the score that is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from streamdet.train.config import ClassLoss

Entropy = Callable[[Tensor, Tensor], Tensor]

bce: Entropy = partial(F.binary_cross_entropy_with_logits, reduction="none")


def focal(logits: Tensor, wanted: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Return the focal loss (arXiv 1708.02002, eq. 5): errors that are small already weigh little.

    A score between 0 and 1 counts as both labels in these shares.
    """
    p = logits.sigmoid()
    positive = -alpha * (1 - p).pow(gamma) * F.logsigmoid(logits)
    negative = -(1 - alpha) * p.pow(gamma) * F.logsigmoid(-logits)
    return wanted * positive + (1 - wanted) * negative


def varifocal(logits: Tensor, wanted: Tensor, alpha: float = 0.75, gamma: float = 2.0) -> Tensor:
    """Return the varifocal loss (arXiv 2008.13367, eq. 2): wanted scores weigh as much as they are."""
    # y BCE(p, y) where y > 0, -alpha p^gamma log(1 - p) elsewhere
    weight = torch.where(wanted > 0, wanted, alpha * logits.sigmoid().pow(gamma))
    return weight * bce(logits, wanted)


def quality_focal(logits: Tensor, wanted: Tensor, beta: float = 2.0) -> Tensor:
    """Return the quality focal loss (arXiv 2006.04388, eq. 2)."""
    # |y - p|^beta BCE(p, y)
    return (wanted - logits.sigmoid()).abs().pow(beta) * bce(logits, wanted)


CLASS_LOSSES: Mapping[ClassLoss, Entropy] = MappingProxyType(
    {"bce": bce, "focal": focal, "varifocal": varifocal, "quality_focal": quality_focal}
)
