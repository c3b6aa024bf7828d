"""A network on a CUDA device: its images there, and the slots that compute them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from streamdet.inference.card import ModelCard, Precision
from streamdet.inference.cuda.colour import rgb_of
from streamdet.inference.cuda.runtime import Runtime
from streamdet.inference.cuda.slot import DeviceSlot, Lanes, Staged, out_of_memory
from streamdet.inference.session import Slot
from streamdet.inference.torch import TorchSession
from streamdet.letterbox import Letterbox
from streamdet.types import Frame, Planes, ToDevice, UInt8Array


class CudaSession(TorchSession):
    """Computes `network`, which gives rows f32 (B, A, 6) and is on the device of `runtime`."""

    selects = True

    def __init__(
        self, runtime: Runtime, network: Callable[[Tensor], Tensor], card: ModelCard, precision: Precision = "fp32"
    ) -> None:
        super().__init__(network, card, str(runtime.device), precision)
        self.parallel = 1
        self._runtime, self._lanes = runtime, Lanes.of(runtime)
        self._making = threading.Lock()

    @property
    def to_device(self) -> ToDevice | None:
        """See `Session`."""
        return self.image_of

    def stage(self, frame: Frame, letterbox: Letterbox) -> Staged:
        """Return the image of `frame` where it was decoded on the device, else in memory that it copies from."""
        if frame.on_device is not None:
            return Staged(frame.on_device, on_device=True)
        image = self._runtime.pinned(frame.image.shape, torch.uint8)
        image.numpy()[:] = frame.image
        return Staged(image, on_device=False)

    def image_of(self, planes: Planes) -> tuple[UInt8Array, Tensor] | None:
        """Return the RGB image uint8 (H, W, 3) of a picture that was decoded here, on the host and on the device.

        None if it is on another device.
        """
        luma, chroma = (from_dlpack(plane.__dlpack__()) for plane in (planes.luma, planes.chroma))
        if luma.device != self._runtime.device:
            return None
        runtime, stream, done = self._runtime, self._runtime.decoders_stream(), self._runtime.event()
        on_device = runtime.on_device((*luma.shape, 3), torch.uint8, stream)
        pinned = runtime.pinned((*luma.shape, 3), torch.uint8)

        def convert() -> None:
            on_device.copy_(rgb_of(luma, chroma, planes.matrix, full_range=planes.full_range))
            pinned.copy_(on_device, non_blocking=True)

        runtime.run(stream, convert)
        runtime.record(done, stream)
        runtime.wait_for(done)
        # Pinned memory is scarce, and a result may be kept for long.
        image: UInt8Array = pinned.numpy().copy()
        return image, on_device

    def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Slot]:
        """Return the two slots that double buffering takes; raises DeviceError when there is no memory for them."""
        arguments = self._runtime, self._lanes, self._network, len(self.card.class_names), input_hw, batch
        try:
            with self._making:  # captures of two threads at once would disturb each other
                return [DeviceSlot(*arguments) for _ in range(2)]
        except torch.OutOfMemoryError:
            raise out_of_memory(self._runtime, input_hw, batch) from None

    def close(self) -> None:
        """End the thread that waits for the device."""
        self._runtime.close()
