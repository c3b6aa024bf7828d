"""A slot holds one image on its way through an engine. Two slots on a GPU make double buffering.

`submit` hands an image over and returns as soon as it can; `collect` waits for the rows of that image. While the device
computes what one slot holds, the other is filled: the copy of the next image lies under the compute of this one.
"""

from __future__ import annotations

from typing import Protocol

import torch

from streamdet.detect.engine import Engine
from streamdet.detect.preprocess import letterbox_into, new_canvas
from streamdet.geometry import Letterbox
from streamdet.types import Float32Array, UInt8Array


class Slot(Protocol):
    """One image in flight."""

    def submit(self, image: UInt8Array, letterbox: Letterbox) -> None:
        """Start on `image` uint8 (H, W, 3) RGB."""

    def collect(self) -> Float32Array:
        """Wait for the rows f32 (A, 6) of the submitted image."""


class CpuSlot:
    """Computes at once: on a CPU there is nothing to overlap a copy with."""

    def __init__(self, engine: Engine, letterbox: Letterbox) -> None:
        self._engine = engine
        self._canvas = new_canvas(letterbox)
        self._rows: Float32Array

    def submit(self, image: UInt8Array, letterbox: Letterbox) -> None:
        """Run the engine on `image`."""
        letterbox_into(self._canvas, image, letterbox)
        self._rows = self._engine(torch.from_numpy(self._canvas)[None])[0].numpy()

    def collect(self) -> Float32Array:
        """Return the rows f32 (A, 6)."""
        return self._rows


class CudaSlot:
    """Pinned host buffers, a device buffer, a stream and an event; the stream alone orders copies and kernels."""

    def __init__(self, engine: Engine, letterbox: Letterbox) -> None:
        self._engine = engine
        self._pixels = torch.from_numpy(new_canvas(letterbox))[None].pin_memory()
        self._canvas: UInt8Array = self._pixels[0].numpy()
        self._on_device = torch.empty_like(self._pixels, device=engine.device)
        self._rows: torch.Tensor | None = None
        self._stream = torch.cuda.Stream(engine.device)
        self._done = torch.cuda.Event()

    def submit(self, image: UInt8Array, letterbox: Letterbox) -> None:
        """Queue the copy in, the engine and the copy out; the last submit of this slot has been collected."""
        letterbox_into(self._canvas, image, letterbox)
        with torch.cuda.stream(self._stream):
            self._on_device.copy_(self._pixels, non_blocking=True)
            rows = self._engine(self._on_device)[0]
            if self._rows is None:
                self._rows = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
            self._rows.copy_(rows, non_blocking=True)
            self._done.record(self._stream)

    def collect(self) -> Float32Array:
        """Wait for this slot's event, not for the device; returns rows f32 (A, 6) of their own memory."""
        self._done.synchronize()
        assert self._rows is not None
        return self._rows.numpy().copy()


def new_slots(engine: Engine, letterbox: Letterbox) -> list[Slot]:
    """Return the slots that keep `engine` busy: two on a GPU, one on a CPU."""
    if engine.device.type == "cuda":
        return [CudaSlot(engine, letterbox), CudaSlot(engine, letterbox)]
    return [CpuSlot(engine, letterbox)]
