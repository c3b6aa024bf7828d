"""Weights from and to files: ``.pt`` checkpoints as they are published, and ``.safetensors``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from streamdet.errors import InputError, OutputError
from streamdet.models.checkpoint import read_checkpoint
from streamdet.models.network import Network
from streamdet.models.spec import ModelSpec
from streamdet.models.table import load_spec, read_class_names, resolve
from streamdet.models.weights_file import find_weights

# YOLOv5 before 6.0 stored its anchors a second time, in pixels.
_DERIVED = ".anchor_grid"

_METADATA_KEY = "streamdet"  # of a .safetensors file, holds the spec as JSON


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network with its weights, float32 on the CPU, in eval mode."""

    module: Network

    @property
    def spec(self) -> ModelSpec:
        """What the network was built from."""
        return self.module.spec

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class id."""
        return self.spec.class_names

    @property
    def stride(self) -> int:
        """The number of model px that image sides must be a multiple of."""
        return max(self.module.strides_px)


def load_model(path: str | Path) -> LoadedModel:
    """Return the model in a ``.pt`` or ``.safetensors`` file; nothing from the file is run.

    A name without ending, such as ``yolov8n``, stands for the file of that name with one of these endings. Raises
    InputError when there is no such file, when it is damaged or hostile, and when it holds an unknown architecture.
    """
    path = find_weights(Path(path))
    spec, state = _from_checkpoint(path) if path.suffix == ".pt" else _from_safetensors(path)
    with torch.device("meta"):
        network = Network(spec)
    network.load_state_dict(_matching(network.state_dict(), state, path), assign=True)
    return LoadedModel(network.eval())


def save_safetensors(model: LoadedModel, path: str | Path) -> None:
    """Write the tensors, and in the metadata the spec with the class names; raises OutputError when it cannot.

    A fused network is refused with ValueError: fusing cannot be undone.
    """
    with torch.device("meta"):
        expected = Network(model.spec).state_dict()
    state = model.module.state_dict()
    if state.keys() != expected.keys():
        raise ValueError("expected a network as it was loaded, found a fused one")
    tensors = {key: tensor.contiguous() for key, tensor in state.items()}
    try:
        save_file(tensors, path, {_METADATA_KEY: model.spec.to_json()})
    except (OSError, SafetensorError) as error:
        raise OutputError(f"{path}: the weights cannot be written: {error}") from None


def _from_checkpoint(path: Path) -> tuple[ModelSpec, dict[str, Tensor]]:
    checkpoint = read_checkpoint(path)
    if checkpoint.table is None:
        raise InputError(f"{path}: expected a checkpoint that states its model table, found none")
    spec = resolve(checkpoint.table, path.name)
    if checkpoint.class_names is not None:
        spec = spec.renamed(read_class_names(checkpoint.class_names, path.name))
    return spec, {key: tensor for key, tensor in checkpoint.state.items() if not key.endswith(_DERIVED)}


def _from_safetensors(path: Path) -> tuple[ModelSpec, dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: expected a .safetensors file, but it cannot be read: {error}") from None
    if _METADATA_KEY in metadata:
        return ModelSpec.from_json(metadata[_METADATA_KEY]), state
    try:
        return load_spec(path.stem), state
    except InputError as error:
        raise InputError(f"{path} does not describe its model, and its name does not either: {error}") from None


def _matching(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the tensors of `found` in the dtypes of `expected`, of which they must have the keys and shapes."""
    if missing := expected.keys() - found.keys():
        raise InputError(f"{path}: expected {len(expected)} tensors, but {min(missing)!r} is missing")
    if surplus := found.keys() - expected.keys():
        raise InputError(f"{path}: expected {len(expected)} tensors, but there is {min(surplus)!r} too")
    state = {}
    for key, slot in expected.items():
        tensor = found[key]
        if tensor.shape != slot.shape or tensor.is_floating_point() != slot.is_floating_point():
            raise InputError(
                f"{path}: expected {key} as {slot.dtype} {tuple(slot.shape)}, "
                f"found {tensor.dtype} {tuple(tensor.shape)}"
            )
        state[key] = tensor.to(slot.dtype, copy=True, memory_format=torch.contiguous_format)
    return state
