"""From a `ModelSpec` to a network."""

from typing import Self

from torch import Tensor, nn

from streamdet.errors import InputError
from streamdet.models.anchor_head import AnchorDetect
from streamdet.models.blocks import Fusible
from streamdet.models.heads import Detect
from streamdet.models.registry import BLOCKS
from streamdet.models.spec import LayerSpec, ModelSpec


class Network(nn.Module):
    """The layers of a spec, wired. Input: (B, 3, H, W) RGB in [0, 1], H and W multiples of the largest stride.

    The output is that of the head: see `streamdet.models.heads`. State keys are those
    of the published checkpoints. Weights are random on the default device, as PyTorch and the head start them; under
    ``torch.device("meta")`` there are only shapes.
    Raises InputError where a layer cannot be built.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.model = nn.Sequential(*(_build_layer(spec.name, i, layer) for i, layer in enumerate(spec.layers)))
        self._reused = {s for i, layer in enumerate(spec.layers) for s in layer.sources if s != i - 1}

    @property
    def strides_px(self) -> tuple[int, ...]:
        """Cell sizes of the head's pyramid levels in model pixels."""
        return self.head.strides_px

    @property
    def head(self) -> Detect | AnchorDetect:
        """The last layer, which says what is where."""
        head = self.model[-1]
        assert isinstance(head, Detect | AnchorDetect)
        return head

    def fuse(self) -> Self:
        """Let every block that can fold its batch norm away, in place; same output, for inference only."""
        for module in self.model.modules():
            if isinstance(module, Fusible):
                module.fuse()
        return self.eval()

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
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
        shown = ", ".join(str(arg) for arg in layer.args)
        reason = str(error).splitlines()[0]
        raise InputError(f"{name}, row {index}: {layer.block}({shown}) cannot be built: {reason}") from error
