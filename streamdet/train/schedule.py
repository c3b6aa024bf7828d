"""The optimizer, the course of its rates, image sizes from batch to batch, and the average of the weights."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import nn

from streamdet.models.weights import Network
from streamdet.train.config import TrainConfig

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


def batch_size_px(settings: TrainConfig, epoch: int, batch: int, stride_px: int) -> int:
    """Return the side in px, a multiple of `stride_px`, of the images of one batch; decided by seed and place."""
    if not settings.multi_scale:
        return settings.imgsz
    rng = np.random.default_rng([settings.seed, epoch, batch, stride_px])
    factor = rng.uniform(1 - settings.multi_scale, 1 + settings.multi_scale)
    return max(round(settings.imgsz * factor / stride_px), 1) * stride_px


def build_optimizer(network: nn.Module, settings: TrainConfig, world: int = 1) -> torch.optim.Optimizer:
    """Return the optimizer over three groups: decayed weights, weights of norms, and biases, neither decayed.

    Each of `world` processes computes a batch.
    """
    groups: dict[str, list[nn.Parameter]] = {"weight": [], "norm": [], "bias": []}
    norms = tuple(module for name, module in vars(nn).items() if "Norm" in name)
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                kind = "bias" if name == "bias" else "norm" if isinstance(module, norms) else "weight"
                groups[kind].append(parameter)
    decay = settings.weight_decay * settings.batch * world * _accumulate(settings, world) / settings.nominal_batch
    stated = [
        {"params": parameters, "kind": kind, "weight_decay": decay if kind == "weight" else 0.0}
        for kind, parameters in groups.items()
    ]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(stated, lr=settings.lr0, betas=(settings.momentum, 0.999))
    return torch.optim.SGD(stated, lr=settings.lr0, momentum=settings.momentum, nesterov=True)


class Schedule:
    """Rates by batch: a fall over all epochs, and a warm-up over the first.

    The warm-up takes at least 100 batches, and of a short training at most a third.
    """

    def __init__(self, settings: TrainConfig, batches_per_epoch: int, world: int = 1) -> None:
        self._settings, self._batches = settings, batches_per_epoch
        self._most = _accumulate(settings, world)
        total = batches_per_epoch * settings.epochs
        wanted = max(round(settings.warmup_epochs * batches_per_epoch), 100)
        self._warmup = min(wanted, total // 3) if settings.warmup_epochs else 0

    def rate(self, epoch: int) -> float:
        """Return the learning rate of `epoch` after the warm-up."""
        settings = self._settings
        passed = epoch / settings.epochs
        left = (1 + math.cos(math.pi * passed)) / 2 if settings.cosine else 1 - passed
        return settings.lr0 * (settings.lrf + (1 - settings.lrf) * left)

    def set(self, optimizer: torch.optim.Optimizer, epoch: int, batch: int) -> None:
        """Set rates and momentum for `batch` of `epoch`."""
        settings = self._settings
        warmth = self._warmth(epoch, batch)
        for group in optimizer.param_groups:
            start = settings.warmup_bias_lr if group["kind"] == "bias" and settings.optimizer == "sgd" else 0.0
            group["lr"] = start + warmth * (self.rate(epoch) - start)
            momentum = settings.warmup_momentum + warmth * (settings.momentum - settings.warmup_momentum)
            if "momentum" in group:
                group["momentum"] = momentum
            else:
                group["betas"] = (momentum, group["betas"][1])

    def accumulate(self, epoch: int, batch: int) -> int:
        """Return how many batches of a process one step of the optimizer sums; it grows during the warm-up."""
        return max(round(1 + self._warmth(epoch, batch) * (self._most - 1)), 1)

    def _warmth(self, epoch: int, batch: int) -> float:
        passed = epoch * self._batches + batch
        return min(passed / self._warmup, 1.0) if self._warmup else 1.0


def _accumulate(settings: TrainConfig, world: int) -> int:
    return max(round(settings.nominal_batch / (settings.batch * world)), 1)
