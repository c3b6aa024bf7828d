"""PyTorch: on CUDA devices, and on a CPU where no other runtime is installed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from streamdet.cores import core_count, images_in_flight
from streamdet.inference.card import ModelCard, Precision
from streamdet.inference.cuda.device import Device
from streamdet.inference.cuda.runtime import CudaRuntime
from streamdet.inference.device import no_bf16
from streamdet.inference.graph import RowsNetwork
from streamdet.inference.slots import Job, Slot, ThreadSlot
from streamdet.model.weights import load_model
from streamdet.types import Float32Array, ToDevice, UInt8Array


class TorchBackend:
    """A network from a weights file; raises InputError.

    `half` computes in fp16 on CUDA, in bf16 on a CPU that has it; None only on CUDA, since bf16 costs accuracy.
    """

    name = "torch"

    def __init__(self, weights: Path, device: str, *, half: bool | None = False) -> None:
        model = load_model(weights)
        self.device = device
        self.card = ModelCard(model.class_names, model.stride)
        dtype = _dtype(device, half)
        self.precision: Precision = "fp32" if dtype == torch.float32 else "fp16" if dtype == torch.float16 else "bf16"
        # Channels-last is how the images arrive and the layout that convolution kernels are fastest in.
        self._network = RowsNetwork(model, dtype).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._gpu = None if device == "cpu" else Device(CudaRuntime(torch.device(device)), self._network)

    @torch.inference_mode()
    def __call__(self, images: UInt8Array) -> Float32Array:
        """Map images to rows, see `streamdet.inference.backend`."""
        rows: Float32Array = self._network(torch.from_numpy(images).to(self.device)).cpu().numpy()
        return rows

    @property
    def to_device(self) -> ToDevice | None:
        """See `streamdet.inference.backend`."""
        return self._gpu.image_of if self._gpu else None

    def pinned(self, image: UInt8Array) -> UInt8Array:
        """Return `image`, on a GPU in memory that it copies from by itself."""
        return self._gpu.pinned(image) if self._gpu else image

    def new_slots(self, job: Job) -> list[Slot]:
        """Return two slots; on a CPU each is a thread with its share of the cores."""
        if self._gpu:
            return list(self._gpu.new_slots(job))
        count = images_in_flight()
        prepare = partial(torch.set_num_threads, core_count() // count)
        return [ThreadSlot(self, job, prepare) for _ in range(count)]


def _dtype(device: str, half: bool | None) -> torch.dtype:
    if device != "cpu":
        return torch.float32 if half is False else torch.float16
    if not half:
        return torch.float32
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        raise no_bf16()
    return torch.bfloat16
