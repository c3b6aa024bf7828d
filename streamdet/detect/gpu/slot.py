"""A slot on a device: while one slot's frames are computed, those of the other are copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from streamdet.detect.gpu.candidates import Limits, selected
from streamdet.detect.gpu.program import Program
from streamdet.detect.gpu.runtime import Runtime
from streamdet.detect.slots import Job
from streamdet.graph.rows import RowsNetwork
from streamdet.types import Float32Array, UInt8Array


class Lanes(NamedTuple):
    """The three streams that all slots of a device share: each does one kind of work, in order."""

    copy_in: Any
    compute: Any
    copy_out: Any

    @classmethod
    def of(cls, runtime: Runtime) -> Lanes:
        """Return new streams of `runtime`."""
        return cls(runtime.stream(), runtime.stream(), runtime.stream())


class DeviceSlot:
    """Memory and events for up to `capacity` frames in flight, all of `image_hw` (H, W).

    A slot is submitted to again only after it was collected; so its memory is never written while it is read, and three
    events order the rest: copied before computed before copied back before collected.
    """

    def __init__(
        self, runtime: Runtime, lanes: Lanes, program: Program, image_hw: tuple[int, int], capacity: int
    ) -> None:
        self.capacity = capacity
        self._runtime, self._lanes, self._program = runtime, lanes, program
        self._host_frames = runtime.pinned((capacity, *image_hw, 3), torch.uint8)
        self._frames = runtime.on_device((capacity, *image_hw, 3), torch.uint8)
        self._copied, self._computed, self._returned = runtime.event(), runtime.event(), runtime.event()
        self._results: list[Tensor] = []
        self._work = runtime.captured(lanes.compute, self._compute)
        self._rows, *self._outputs = self._results
        self._host_outputs = [runtime.pinned(tuple(output.shape), output.dtype) for output in self._outputs]
        self._count = 0

    def submit(self, images: Sequence[UInt8Array]) -> None:
        """Queue `images` uint8 (H, W, 3), at most `capacity`; returns before anything is computed."""
        count = self._count = len(images)
        for place, image in zip(self._host_frames, images, strict=False):
            place.numpy()[:] = image
        runtime, lanes = self._runtime, self._lanes
        runtime.run(lanes.copy_in, lambda: _copy([self._frames[:count]], [self._host_frames[:count]]))
        runtime.record(self._copied, lanes.copy_in)
        runtime.wait(lanes.compute, self._copied)
        runtime.run(lanes.compute, self._work)
        runtime.record(self._computed, lanes.compute)
        runtime.wait(lanes.copy_out, self._computed)
        runtime.run(lanes.copy_out, lambda: _copy(self._host_outputs, self._outputs))
        runtime.record(self._returned, lanes.copy_out)

    def collect(self) -> list[Float32Array]:
        """Wait for the frames' own event; returns rows f32 (N, 6) of each frame in memory of their own."""
        self._runtime.wait_for(self._returned)
        candidates, state = self._host_outputs
        return [self._rows_of(frame, selected(candidates[frame], state[frame])) for frame in range(self._count)]

    def close(self) -> None:
        """Let nothing be in flight when the memory goes."""
        if self._count:
            self._runtime.wait_for(self._returned)

    @torch.inference_mode()
    def _compute(self) -> None:
        results = self._program(self._frames)
        if self._results:
            _copy(self._results, results)
        else:
            self._results = list(results)

    def _rows_of(self, frame: int, rows: Tensor | None) -> Float32Array:
        """Return `rows` f32 (N, 6), or, where these are None, all rows of `frame`."""
        if rows is None:
            whole = self._runtime.pinned(tuple(self._rows[frame].shape), self._rows.dtype)
            self._runtime.run(self._lanes.copy_out, lambda: _copy([whole], [self._rows[frame]]))
            self._runtime.record(self._returned, self._lanes.copy_out)
            self._runtime.wait_for(self._returned)
            rows = whole
        array: Float32Array = rows.numpy().copy()
        return array


def device_slots(runtime: Runtime, network: RowsNetwork, job: Job) -> list[DeviceSlot]:
    """Return the two slots that double buffering takes, on streams that they share."""
    limits = Limits.of(job.select, runtime.device)
    program, lanes = Program(network, job.letterbox, limits), Lanes.of(runtime)
    return [DeviceSlot(runtime, lanes, program, job.image_hw, job.batch) for _ in range(2)]


def _copy(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source, non_blocking=True)
