"""An exponential moving average of a network's weights, which detects better than the weights themselves."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from streamdet.models.network import Network

_RAMP_UPDATES = 2000.0


class WeightAverage:
    """Follows `network`: early averages forget fast, late ones with `decay` per update."""

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.network.eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take the weights of `network` into the average."""
        self.updates += 1
        # d = decay (1 - exp(-n / 2000));  average = d average + (1 - d) weights
        decay = self.decay * (1 - math.exp(-self.updates / _RAMP_UPDATES))
        current = network.state_dict()
        for key, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(current[key], 1 - decay)
            else:
                average.copy_(current[key])
