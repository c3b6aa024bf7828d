"""The description of a model and its size: layers, parameters, gradients and arithmetic."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from streamdet.errors import InputError, shown
from streamdet.files import WEIGHTS_SUFFIXES
from streamdet.models.heads import DFL
from streamdet.models.table import load_spec
from streamdet.models.weights import Network, load_model

GFLOPS_SIDE_PX = 640


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """The size of a network.

    - `layers`: its distinct modules, including containers; the shared activation counts once.
    - `parameters`: the numbers in its weights.
    - `gradients`: the parameters that are trained (not the bin values of the head's DFL).
    - `gflops`: 1e9 operations for one image of 640x640 px, where an addition and a multiplication count as one each.
      As in the figures published for YOLOv8, bias, activation, pooling and the decoding of boxes are left out.
    """

    layers: int
    parameters: int
    gradients: int
    gflops: float


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One row of the table that ``streamdet model info`` prints; source -1 is the image."""

    index: int
    sources: tuple[int, ...]
    repeats: int
    parameters: int
    block: str
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """The description of a model that was not run; `strides_px` are in model px, finest level first."""

    name: str
    task: str
    class_names: tuple[str, ...]
    strides_px: tuple[int, ...]
    kpt_shape: tuple[int, int] | None
    summary: ModelSummary
    rows: tuple[LayerRow, ...]


def describe(name_or_path: str | Path, arch: str | None = None) -> ModelDescription:
    """Return the description of a shipped table (``yolov8n``), a YAML table or a weights file.

    `arch` is the architecture of weights that are only tensors. Raises InputError as `load_spec` and `load_model` do.
    """
    if Path(name_or_path).suffix.lower() in WEIGHTS_SUFFIXES:
        network = load_model(name_or_path, arch).module
    elif arch is not None:
        raise InputError(f"expected arch for weights only, found the model table {shown(str(name_or_path))}")
    else:
        with torch.device("meta"):
            network = Network(load_spec(name_or_path))
    rows = tuple(
        LayerRow(index, layer.sources, layer.repeats, _parameters(module), layer.block, layer.args)
        for index, (layer, module) in enumerate(zip(network.spec.layers, network.model, strict=True))
    )
    spec = network.spec
    names, strides_px = spec.class_names, network.strides_px
    return ModelDescription(spec.name, spec.task, names, strides_px, spec.kpt_shape, summarize(network), rows)


def summarize(network: Network) -> ModelSummary:
    """Return the size of `network`, fused or not, on any device."""
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return ModelSummary(len(list(network.modules())), _parameters(network), trained, _flops(network) / 1e9)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _flops(network: Network) -> int:
    """Return the operations of one forward pass, which runs on the meta device, without memory or arithmetic."""
    total = 0
    for module in network.modules():
        if type(module) not in _OPERATIONS and next(module.parameters(recurse=False), None) is not None:
            name = type(module).__name__
            raise InputError(f"expected layers whose operations can be counted, found {name}: add it to _OPERATIONS")

    def count(module: nn.Module, inputs: tuple[Tensor], out: Tensor) -> None:
        nonlocal total
        total += _OPERATIONS[type(module)](module, inputs[0], out)

    hooks = [module.register_forward_hook(count) for module in network.modules() if type(module) in _OPERATIONS]
    weightless = {key: tensor.to("meta") for key, tensor in network.state_dict().items()}
    training = network.training
    try:
        network.eval()
        functional_call(network, weightless, torch.empty(1, 3, GFLOPS_SIDE_PX, GFLOPS_SIDE_PX, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
        network.train(training)
    return total


def _convolution(module: nn.Module, _: Tensor, out: Tensor) -> int:
    # out = sum over (c_in, k, k) of w x:  a multiplication and an addition per weight of a filter; the bias is left out
    assert isinstance(module, nn.Conv2d)
    return 2 * out.numel() * module.weight[0].numel()


def _transposed_convolution(module: nn.Module, x: Tensor, _: Tensor) -> int:
    # each number is spread over (c_out, k, k)
    assert isinstance(module, nn.ConvTranspose2d)
    return 2 * x.numel() * module.weight[0].numel()


def _linear(module: nn.Module, _: Tensor, out: Tensor) -> int:
    assert isinstance(module, nn.Linear)
    return 2 * out.numel() * module.in_features


def _average(_: nn.Module, x: Tensor, out: Tensor) -> int:
    # by convention two operations for each number and for the division
    return 2 * (x.numel() + out.numel())


def _batch_norm(_: nn.Module, __: Tensor, out: Tensor) -> int:
    # y = (x - mean) / deviation * gamma + beta, by convention counted as 4 multiplications and 4 additions
    return 8 * out.numel()


def _expectation(module: nn.Module, _: Tensor, out: Tensor) -> int:
    # d = sum_i  i p_i
    assert isinstance(module, DFL)
    return 2 * out.numel() * module.conv.weight.numel()


# Modules whose operations count by convention; activations, other pooling, upsampling and the head's decoding do not.
_OPERATIONS: dict[type[nn.Module], Callable[[nn.Module, Tensor, Tensor], int]] = {
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _transposed_convolution,
    nn.Linear: _linear,
    nn.AdaptiveAvgPool2d: _average,
    nn.BatchNorm2d: _batch_norm,
    DFL: _expectation,
}
