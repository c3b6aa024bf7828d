"""The network of a `ModelSpec`, and its weights in files: ``.pt`` checkpoints and ``.safetensors``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from streamdet.errors import InputError, OutputError, shown
from streamdet.files import content_kind, find_weights, user_path
from streamdet.models.activation import activation_module
from streamdet.models.blocks import Conv, Fusible
from streamdet.models.checkpoint import read_checkpoint
from streamdet.models.class_names import read_class_names
from streamdet.models.heads import BOX, AnchorHead, DetectHead, HeadOutput
from streamdet.models.registry import BLOCKS
from streamdet.models.table import LayerSpec, ModelSpec, load_spec, resolve
from streamdet.models.task_heads import ClassifyHead

# YOLOv5 before 6.0 stored its anchors a second time, in pixels.
_DERIVED = ".anchor_grid"
MAX_HEADER = 16_000_000  # bytes of a .safetensors file that describe its tensors; a thousandth is usual
MAX_REASON = 120  # characters of an error of PyTorch in a message
MAX_PARAMETERS = 1_000_000_000  # 4 GB of weights
_METADATA_KEY = "streamdet"  # of the spec as JSON, in a .safetensors file


class Network(nn.Module):
    """The network of a spec. Input: (B, 3, H, W) RGB in [0, 1], H and W multiples of the largest stride.

    The output is that of the head, see `streamdet.models.heads`. State keys are those of the published checkpoints.
    Weights are random on the default device, as PyTorch and the head initialize them; under ``torch.device("meta")``
    there are only shapes. Raises InputError if a layer cannot be built.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        if not torch.empty(0).is_meta:
            # Without memory at first: a table of a few bytes can state any number of parameters.
            with torch.device("meta"):
                Network(spec)
        self.model = nn.Sequential(*(_build_layer(spec.name, i, layer) for i, layer in enumerate(spec.layers)))
        activation = activation_module(spec.activation)
        for module in self.modules():
            if isinstance(module, Conv):
                module.act = activation
        if (count := sum(each.numel() for each in self.parameters())) > MAX_PARAMETERS:
            raise InputError(f"{spec.name}: expected at most {MAX_PARAMETERS:,} parameters, found {count:,}")
        self._reused = {s for i, layer in enumerate(spec.layers) for s in layer.sources if s != i - 1}

    @property
    def strides_px(self) -> tuple[int, ...]:
        """Cell sizes of the head's pyramid levels in model pixels."""
        return self.head.strides_px

    @property
    def head(self) -> DetectHead | AnchorHead | ClassifyHead:
        """The last layer, which makes predictions of features."""
        head = self.model[-1]
        assert isinstance(head, DetectHead | AnchorHead | ClassifyHead)
        return head

    def fuse(self) -> Self:
        """Fold all batch norms into the convolutions, in place; the output stays the same. For inference only."""
        for module in self.model.modules():
            if isinstance(module, Fusible):
                module.fuse()
        return self.eval()

    def forward(self, image: Tensor) -> HeadOutput:
        """Return the head's output for a batch of images."""
        kept: dict[int, Tensor] = {-1: image}
        x = image
        for index, (module, layer) in enumerate(zip(self.model, self.spec.layers, strict=True)):
            inputs = [x if source == index - 1 else kept[source] for source in layer.sources]
            x = module(inputs) if BLOCKS[layer.block].joins else module(inputs[0])
            if index in self._reused:
                kept[index] = x
        return x


def _build_layer(name: str, index: int, layer: LayerSpec) -> nn.Module:
    try:
        return BLOCKS[layer.block].build(layer.repeats, layer.args)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        reason = str(error).splitlines()[0][:MAX_REASON]
        raise InputError(f"{name}, row {index}: {layer.block}{shown(layer.args)} cannot be built: {reason}") from error


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A network with its weights, float32 on the CPU, in eval mode."""

    module: Network

    @property
    def spec(self) -> ModelSpec:
        """The spec of the network."""
        return self.module.spec

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class id."""
        return self.spec.class_names

    @property
    def iou(self) -> float:
        """The overlap above which NMS removes a box, as its family publishes it: 0.45 for YOLOv5, 0.7 for YOLOv8."""
        return 0.45 if isinstance(self.module.head, AnchorHead) else 0.7

    @property
    def stride(self) -> int:
        """The largest stride: image sides are multiples of this many model px."""
        return max(self.module.strides_px)


def load_model(path: str | Path, arch: str | None = None) -> LoadedModel:
    """Return the model in a ``.pt`` or ``.safetensors`` file; nothing from the file is run.

    A name without a suffix, such as ``yolov8n``, stands for the file with one of these suffixes. `arch` names the model
    table of a file that holds only tensors. Raises InputError if there is no such file, if it is damaged or hostile, if
    its architecture is unknown, and if it states its own besides `arch`.
    """
    path = find_weights(user_path(path))
    read = _from_checkpoint if path.suffix.lower() == ".pt" else _from_safetensors
    stated, state = read(path)
    spec = _named_spec(path, stated, state, arch)
    with torch.device("meta"):
        network = Network(spec)
    network.load_state_dict(_matching(network.state_dict(), state, path), assign=True)
    return LoadedModel(network.eval())


def save_safetensors(model: LoadedModel, path: str | Path) -> None:
    """Write the tensors, with the spec in the metadata; raises OutputError if the file cannot be written.

    Raises ValueError for a fused network, since fusing cannot be undone.
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


def _named_spec(path: Path, stated: ModelSpec | None, state: Mapping[str, Tensor], arch: str | None) -> ModelSpec:
    """Return the spec that the file states, else that of `arch`, or of its own name, for the classes of its tensors."""
    if stated is not None:
        if arch is not None:
            raise InputError(f"{path} states its architecture: expected it without arch, got arch {shown(arch)}")
        return stated
    try:
        spec = load_spec(path.stem if arch is None else arch)
    except InputError:
        if arch is not None:
            raise
        first = shown(min(state, default=""))
        raise InputError(
            f"{path} states no architecture, only tensors such as {first}: if they are of YOLOv5 or YOLOv8, "
            "name it, for example --arch yolov8n"
        ) from None
    count = _class_count(spec, state)
    return spec if count in (None, len(spec.class_names)) else spec.with_classes(tuple(map(str, range(count))))


def _class_count(spec: ModelSpec, state: Mapping[str, Tensor]) -> int | None:
    """Return how many classes the head of `spec` has in `state`, None if it has no such tensor."""
    with torch.device("meta"):
        head = Network(spec).head
    place = {DetectHead: "cv3.0.2.bias", ClassifyHead: "linear.bias", AnchorHead: "m.0.bias"}
    bias = state.get(f"model.{len(spec.layers) - 1}.{next(place[kind] for kind in place if isinstance(head, kind))}")
    if bias is None or bias.ndim != 1:
        return None
    return len(bias) // head.anchor_count - BOX - 1 if isinstance(head, AnchorHead) else len(bias)


def _from_checkpoint(path: Path) -> tuple[ModelSpec | None, dict[str, Tensor]]:
    checkpoint = read_checkpoint(path)
    state = {key: tensor for key, tensor in checkpoint.state.items() if not key.endswith(_DERIVED)}
    if checkpoint.table is None:
        return None, state
    spec = resolve(checkpoint.table, path.name)
    spec = replace(spec, activation=checkpoint.activation or spec.activation)
    if checkpoint.class_names is not None:
        spec = spec.renamed(read_class_names(checkpoint.class_names, path.name))
    return spec, state


def _from_safetensors(path: Path) -> tuple[ModelSpec | None, dict[str, Tensor]]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if MAX_HEADER < length < path.stat().st_size:
            raise InputError(f"{path}: expected a header of at most {MAX_HEADER:,} bytes, found {length:,}")
        with safe_open(path, "pt") as tensors:
            metadata = tensors.metadata() or {}
            state = {key: tensors.get_tensor(key) for key in tensors.keys()}  # noqa: SIM118
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        kind = content_kind(path)
        found = "a damaged one" if kind == "a .safetensors file" else kind
        raise InputError(f"{path}: expected a .safetensors file, found {found}: {str(error)[:MAX_REASON]}") from None
    text = metadata.get(_METADATA_KEY)
    try:
        return None if text is None else ModelSpec.from_json(text), state
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _matching(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the tensors of `found` in the dtypes of `expected`; raises InputError if keys or shapes differ."""
    if "model.0.conv.bias" in found.keys() - expected.keys():
        raise InputError(f"{path}: expected weights with batch norms, found them fused into the convolutions for good")
    if missing := expected.keys() - found.keys():
        raise InputError(f"{path}: expected {len(expected)} tensors, but {shown(min(missing))} is missing")
    if surplus := found.keys() - expected.keys():
        raise InputError(f"{path}: expected {len(expected)} tensors, but there is {shown(min(surplus))} too")
    state = {}
    for key, slot in expected.items():
        tensor = found[key]
        kinds = [(each.is_floating_point(), each.is_complex()) for each in (tensor, slot)]
        if tensor.shape != slot.shape or kinds[0] != kinds[1]:
            raise InputError(
                f"{path}: expected {key} as {slot.dtype} {tuple(slot.shape)}, "
                f"found {tensor.dtype} {tuple(tensor.shape)}"
            )
        if not torch.isfinite(tensor).all():
            raise InputError(f"{path}: expected finite weights, found NaN or infinity in {key}")
        state[key] = tensor.to(slot.dtype, copy=True, memory_format=torch.contiguous_format)
    return state
