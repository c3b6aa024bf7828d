"""Sessions on PyTorch: on a CPU where no other runtime is installed, and the base of sessions on CUDA."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from streamdet.inference.graph import NetworkOutput, RowsNetwork, model_card
from streamdet.inference.host import HostSession, ThreadSlot, reading
from streamdet.inference.session import ModelCard, Outputs, Precision, Slot
from streamdet.machine import bf16_error, core_count
from streamdet.models.weights import load_model
from streamdet.options import PrecisionChoice

_PRECISIONS: dict[torch.dtype, Precision] = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


def load_network(
    weights: Path, device: str, precision: PrecisionChoice = "fp32", arch: str | None = None, labels: int = 1
) -> tuple[RowsNetwork, ModelCard, Precision]:
    """Return the network of a weights file on `device`, its card, and its precision; raises InputError.

    The precision "half" is fp16 on CUDA and bf16 on a CPU that has it. "auto" is "half" on CUDA and fp32 on a CPU,
    since bf16 costs accuracy. `arch` is the architecture of weights that are only tensors, `labels` how many classes a
    box may have.
    """
    model = load_model(weights, arch)
    dtype = _dtype(device, precision)
    # Channels-last is the layout of the images, and the one that convolution kernels are fastest in.
    network = RowsNetwork(model, dtype, labels).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network, model_card(model, labels=labels), _PRECISIONS[dtype]


class TorchSession(HostSession):
    """Computes `network`, which maps tensors on `device` as `card` describes."""

    name = "torch"

    def __init__(
        self, network: Callable[[Tensor], NetworkOutput], card: ModelCard, device: str, precision: Precision = "fp32"
    ) -> None:
        super().__init__()
        self._network = network
        self.card, self.device, self.precision = card, device, precision
        self._read = reading(card)

    @torch.inference_mode()
    def __call__(self, images: npt.NDArray[Any]) -> Outputs:
        """Map images to rows, see `Session`."""
        found = self._network(torch.from_numpy(images).to(self.device))
        return self._read([tensor.cpu().numpy() for tensor in (found if isinstance(found, tuple) else (found,))])

    def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Slot]:
        """Return slots whose threads compute with their share of the cores each."""
        prepare = partial(torch.set_num_threads, max(1, core_count() // self.parallel))
        return [ThreadSlot(lambda image: lambda: self(image[None])[0].copy(), prepare) for _ in range(self.parallel)]


def _dtype(device: str, precision: PrecisionChoice) -> torch.dtype:
    if device != "cpu":
        return torch.float32 if precision == "fp32" else torch.float16
    if precision != "half":
        return torch.float32
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        raise bf16_error()
    return torch.bfloat16
