"""A slot holds one image on its way through an engine; two slots make double buffering.

`submit` hands an image over and returns as soon as it can; `collect` waits for the rows of that image. On a GPU the
copy of the next image lies under the compute of this one. On a CPU each slot computes with its share of the cores: two
images side by side keep all cores busier than one image spread over them, whose layers are too small to split evenly.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch

from streamdet.detect.engine import Engine
from streamdet.detect.preprocess import letterbox_into, new_canvas
from streamdet.geometry import Letterbox
from streamdet.types import Float32Array, UInt8Array


class Slot(Protocol):
    """One image in flight."""

    def submit(self, image: UInt8Array, letterbox: Letterbox) -> None:
        """Start on `image` uint8 (H, W, 3) RGB; the last submit of this slot has been collected."""

    def collect(self) -> Float32Array:
        """Wait for the rows f32 (A, 6) of the submitted image."""

    def close(self) -> None:
        """Let go of threads and buffers."""


class CpuSlot:
    """A thread that computes with `threads` cores."""

    def __init__(self, engine: Engine, letterbox: Letterbox, threads: int) -> None:
        self._engine = engine
        self._canvas = new_canvas(letterbox)
        self._rows: Future[Float32Array]
        self._worker = ThreadPoolExecutor(1, "detect-slot", initializer=torch.set_num_threads, initargs=(threads,))

    def submit(self, image: UInt8Array, letterbox: Letterbox) -> None:
        """Queue the image for this slot's thread."""
        self._rows = self._worker.submit(self._compute, image, letterbox)

    def collect(self) -> Float32Array:
        """Return the rows f32 (A, 6)."""
        return self._rows.result()

    def close(self) -> None:
        """End the thread, after the image it is busy with."""
        self._worker.shutdown(cancel_futures=True)

    def _compute(self, image: UInt8Array, letterbox: Letterbox) -> Float32Array:
        letterbox_into(self._canvas, image, letterbox)
        rows: Float32Array = self._engine(torch.from_numpy(self._canvas)[None])[0].numpy()
        return rows


class CudaSlot:
    """Pinned host buffers, a device buffer, a stream and an event; the stream alone orders copies and kernels."""

    def __init__(self, engine: Engine, letterbox: Letterbox) -> None:
        self._engine = engine
        self._pixels = torch.from_numpy(new_canvas(letterbox))[None].pin_memory()
        self._canvas: UInt8Array = self._pixels[0].numpy()
        self._on_device = torch.empty_like(self._pixels, device=engine.device)
        self._rows: torch.Tensor | None = None
        self._stream = torch.cuda.Stream(engine.device)  # type: ignore[no-untyped-call]
        # The weights were put on the device by the stream that is current here.
        self._stream.wait_stream(torch.cuda.current_stream(engine.device))
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def submit(self, image: UInt8Array, letterbox: Letterbox) -> None:
        """Queue the copy in, the engine and the copy out."""
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

    def close(self) -> None:
        """Nothing to end: the buffers go with this object."""


def new_slots(engine: Engine, letterbox: Letterbox) -> list[Slot]:
    """Return the two slots that keep the device of `engine` busy; a CPU of one core has one."""
    if engine.device.type == "cuda":
        return [CudaSlot(engine, letterbox), CudaSlot(engine, letterbox)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(2, cores)
    return [CpuSlot(engine, letterbox, threads=cores // count) for _ in range(count)]
