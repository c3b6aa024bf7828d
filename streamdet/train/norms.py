"""The statistics of batch norms: given back to weights that were folded, and kept near the weights in training.

A file made of an export has norms that change nothing: their mean is 0, and all that they did is in the convolutions.
In training they would divide the features of each batch by its deviation, so that the network would detect nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from streamdet.models.blocks import BATCH_NORM_MOMENTUM

_FASTEST = 0.3  # the largest momentum: statistics of three batches


@torch.no_grad()
def unfold_norms(network: nn.Module, batches: Iterable[Tensor]) -> int:
    """Give the batch norms of `network` that have no statistics those of `batches`; return how many there are.

    `batches` f32 (B, 3, H, W) are images as in training, and are not read if all norms have statistics. The output of
    the network in eval mode stays the same; on such images it is then nearly the same in training mode.
    """
    folded = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d) and _is_folded(module)]
    if folded:
        for norm, (mean, square) in zip(folded, _moments(network, folded, batches), strict=True):
            _unfold(norm, mean, square - mean.square())
    return len(folded)


def set_momentum(network: nn.Module, batches: int) -> None:
    """Let the statistics of `network` follow its weights within a tenth of a training of `batches`.

    At the published pace of 33 batches they would be those of earlier weights when a short training ends.
    """
    momentum = max(BATCH_NORM_MOMENTUM, min(10 / batches, _FASTEST))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum


def _is_folded(norm: nn.BatchNorm2d) -> bool:
    """Return whether no batch has ever been counted in the statistics."""
    return norm.running_mean is not None and not norm.running_mean.any()


def _moments(network: nn.Module, norms: list[nn.BatchNorm2d], batches: Iterable[Tensor]) -> list[Tensor]:
    """Return the means f64 (2, C) of what each of `norms` is given, and of its square, in `batches` in eval mode."""
    found: dict[nn.Module, list[Tensor]] = {norm: [] for norm in norms}

    def note(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        values = inputs[0].transpose(0, 1).flatten(1)
        found[norm].append(torch.stack([values.mean(1), values.square().mean(1)]).double())

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    was_training = network.training
    network.eval()
    for batch in batches:
        network(batch)
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return [torch.stack(each).mean(0) for each in found.values()]


def _unfold(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """State `mean` and `variance` f64 (C,) as the statistics of a `norm` of mean 0, whose output stays the same."""
    assert norm.running_mean is not None and norm.running_var is not None
    # s x + b  =  gamma (x - mean) / sqrt(variance + eps) + b + s mean,  with gamma = s sqrt(variance + eps)
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    norm.weight.copy_(scale * torch.sqrt(variance.clamp(min=0) + norm.eps))
    norm.bias.add_(scale * mean)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance.clamp(min=0))
