"""What learns and how fast: frozen layers, the optimizer and its rates, the size of images, the average of weights."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from streamdet.errors import InputError, shown
from streamdet.models.weights import Network
from streamdet.train.config import TrainConfig

_AVERAGE_RAMP_UPDATES = 2000.0


def freeze_layers(network: Network, freeze: int | list[int]) -> None:
    """Keep the first `freeze` layers of `network`, or those of a list, as they are: weights and batch statistics.

    Layers are the rows of the model's table, counted from 0. Raises InputError for layers that the network does not
    have, and when no layer is left to learn.
    """
    layers = range(freeze) if isinstance(freeze, int) else freeze
    if any(layer >= len(network.model) for layer in layers):
        count = len(network.model)
        raise InputError(f"freeze: expected layers of the model, which has {count}, from 0, found {shown(freeze)}")
    for layer in layers:
        for module in network.model[layer].requires_grad_(False).modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise InputError(f"freeze: expected a layer that is left to learn, found none with {shown(freeze)}")


def build_optimizer(network: nn.Module, settings: TrainConfig, world: int = 1) -> torch.optim.Optimizer:
    """Return the optimizer with three groups of parameters: weights, which decay, weights of norms, and biases.

    `world` is the number of processes, each of which computes a batch.
    """
    groups: dict[str, list[nn.Parameter]] = {"weight": [], "norm": [], "bias": []}
    norms = tuple(module for name, module in vars(nn).items() if "Norm" in name)
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                kind = "bias" if name == "bias" else "norm" if isinstance(module, norms) else "weight"
                groups[kind].append(parameter)
    decay = settings.weight_decay * settings.batch * world * _accumulate(settings, world) / settings.nominal_batch
    parameter_groups = [
        {"params": parameters, "kind": kind, "weight_decay": decay if kind == "weight" else 0.0}
        for kind, parameters in groups.items()
    ]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameter_groups, lr=settings.lr0, betas=(settings.momentum, 0.999), fused=True)
    return torch.optim.SGD(parameter_groups, lr=settings.lr0, momentum=settings.momentum, nesterov=True)


class Schedule:
    """The learning rates and the momentum of every batch: a warm-up, then a decay over all epochs.

    The warm-up takes at least 100 batches, but at most a third of the training.
    """

    def __init__(self, settings: TrainConfig, batches_per_epoch: int, world: int = 1) -> None:
        self._settings, self._batches = settings, batches_per_epoch
        self._most_accumulated = _accumulate(settings, world)
        total = batches_per_epoch * settings.epochs
        warmup = max(round(settings.warmup_epochs * batches_per_epoch), 100)
        self._warmup = min(warmup, total // 3) if settings.warmup_epochs else 0

    def rate(self, epoch: int) -> float:
        """Return the learning rate of `epoch` after the warm-up."""
        settings = self._settings
        passed = epoch / settings.epochs
        left = (1 + math.cos(math.pi * passed)) / 2 if settings.cosine else 1 - passed
        return settings.lr0 * (settings.lrf + (1 - settings.lrf) * left)

    def set(self, optimizer: torch.optim.Optimizer, epoch: int, batch: int) -> None:
        """Set the learning rates and the momentum of `optimizer` for `batch` of `epoch`."""
        settings = self._settings
        warmed = self._warmed(epoch, batch)
        for group in optimizer.param_groups:
            start = settings.warmup_bias_lr if group["kind"] == "bias" and settings.optimizer == "sgd" else 0.0
            group["lr"] = start + warmed * (self.rate(epoch) - start)
            momentum = settings.warmup_momentum + warmed * (settings.momentum - settings.warmup_momentum)
            if "momentum" in group:
                group["momentum"] = momentum
            else:
                group["betas"] = (momentum, group["betas"][1])

    def accumulate(self, epoch: int, batch: int) -> int:
        """Return the number of batches of a process that one step of the optimizer sums; the warm-up begins with 1."""
        return max(round(1 + self._warmed(epoch, batch) * (self._most_accumulated - 1)), 1)

    def _warmed(self, epoch: int, batch: int) -> float:
        """Return the part of the warm-up that is over, in [0, 1]."""
        passed = epoch * self._batches + batch
        return min(passed / self._warmup, 1.0) if self._warmup else 1.0


def _accumulate(settings: TrainConfig, world: int) -> int:
    """Return the number of batches of a process that one step sums after the warm-up."""
    return max(round(settings.nominal_batch / (settings.batch * world)), 1)


def batch_size_px(settings: TrainConfig, epoch: int, batch: int, stride_px: int) -> int:
    """Return the side of the images of a batch in px, a multiple of `stride_px`, decided by seed, epoch and batch."""
    if settings.sizes:
        rng = np.random.default_rng([settings.seed, epoch, batch // settings.size_batches])
        return settings.sizes[int(rng.integers(len(settings.sizes)))]
    if not settings.multi_scale:
        return settings.imgsz
    rng = np.random.default_rng([settings.seed, epoch, batch, stride_px])
    factor = rng.uniform(1 - settings.multi_scale, 1 + settings.multi_scale)
    return max(round(settings.imgsz * factor / stride_px), 1) * stride_px


class WeightAverage:
    """An exponential moving average of the weights of `network`, which detects better than the weights themselves.

    The decay per update rises from 0 to `decay`, so that the average forgets the first weights fast.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.network.eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Add the weights of `network` to the average."""
        self.updates += 1
        # d = decay (1 - exp(-n / 2000));  average = d average + (1 - d) weights
        decay = self.decay * (1 - math.exp(-self.updates / _AVERAGE_RAMP_UPDATES))
        averages, current = (list(module.state_dict().values()) for module in (self.network, network))
        floating = [index for index, average in enumerate(averages) if average.is_floating_point()]
        lerp = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        lerp([averages[i] for i in floating], [current[i] for i in floating], 0)
        for average, latest in zip(averages, current, strict=True):
            if not average.is_floating_point():
                average.copy_(latest)
