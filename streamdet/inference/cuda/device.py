"""A network on a device: its images there, and the slots that compute them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from streamdet.errors import DeviceError
from streamdet.inference.cuda.candidates import Limits
from streamdet.inference.cuda.colour import rgb_of
from streamdet.inference.cuda.pinned import pinned
from streamdet.inference.cuda.program import Program
from streamdet.inference.cuda.runtime import Runtime
from streamdet.inference.cuda.slot import DeviceSlot, Lanes
from streamdet.inference.graph import RowsNetwork
from streamdet.inference.slots import Job
from streamdet.types import Planes, UInt8Array


class Device:
    """Computes `network`, which is on the device of `runtime`."""

    def __init__(self, runtime: Runtime, network: RowsNetwork) -> None:
        self._runtime, self._network = runtime, network
        self._lanes = Lanes.of(runtime)

    def pinned(self, image: UInt8Array) -> UInt8Array:
        """Return `image` uint8 (H, W, 3) where slots need no copy of it by the host."""
        return pinned(image, self._runtime)

    def image_of(self, planes: Planes) -> tuple[UInt8Array, Tensor] | None:
        """Return the RGB image uint8 (H, W, 3) of a picture that was decoded here, on the host and on the device.

        None if it is on another device.
        """
        luma, chroma = (from_dlpack(plane.__dlpack__()) for plane in (planes.luma, planes.chroma))
        if luma.device != self._runtime.device:
            return None
        runtime, stream, done = self._runtime, self._runtime.decoders_stream(), self._runtime.event()
        on_device = runtime.on_device((*luma.shape, 3), torch.uint8)
        on_host = runtime.pinned((*luma.shape, 3), torch.uint8)

        def convert() -> None:
            on_device.copy_(rgb_of(luma, chroma, planes.matrix, full_range=planes.full_range))
            on_host.copy_(on_device, non_blocking=True)

        runtime.run(stream, convert)
        runtime.record(done, stream)
        runtime.wait_for(done)
        image: UInt8Array = on_host.numpy()
        return image, on_device

    def new_slots(self, job: Job) -> list[DeviceSlot]:
        """Return the two slots that double buffering takes; raises DeviceError when there is no memory for them."""
        program = Program(self._network, job.letterbox, Limits.of(job.select, self._runtime.device))
        try:
            return [DeviceSlot(self._runtime, self._lanes, program, job) for _ in range(2)]
        except torch.OutOfMemoryError:
            height, width = job.letterbox.input_hw
            raise DeviceError(
                f"{self._runtime.device} lacks the memory to detect in batches of {job.batch} at {height}x{width} px: "
                "expected a smaller batch or image size, or fewer programs that use it"
            ) from None
