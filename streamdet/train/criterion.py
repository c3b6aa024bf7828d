"""The loss that belongs to a network's head."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from streamdet.models.heads import Detect
from streamdet.models.network import Network
from streamdet.train.anchor_loss import AnchorGains, AnchorLoss
from streamdet.train.loss import DetectionLoss, Gains
from streamdet.train.settings import TrainSettings
from streamdet.train.targets import Targets

# Raw maps and targets to the loss and its three weighted parts: box, classes, distribution (or objectness).
Criterion = Callable[[list[Tensor], Targets], tuple[Tensor, tuple[float, float, float]]]


def criterion_of(network: Network, settings: TrainSettings) -> Criterion:
    """Return the loss for the head of `network`, with the gains of `settings` where they are stated."""
    stated = {name: gain for name in ("box", "cls", "dfl", "obj") if (gain := getattr(settings, name)) is not None}
    if isinstance(network.head, Detect):
        return DetectionLoss(network.head, Gains(**{name: stated[name] for name in Gains._fields if name in stated}))
    gains = AnchorGains(**{name: stated[name] for name in AnchorGains._fields if name in stated})
    return AnchorLoss(network.head, gains)
