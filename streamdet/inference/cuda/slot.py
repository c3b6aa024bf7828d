"""A slot on a device: while one slot's frames are computed, those of the other are copied."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from streamdet.inference.cuda.candidates import selected
from streamdet.inference.cuda.pinned import pinned_tensor
from streamdet.inference.cuda.program import Program
from streamdet.inference.cuda.runtime import Runtime
from streamdet.inference.slots import Job
from streamdet.types import Float32Array, UInt8Array


class Lanes(NamedTuple):
    """The streams for copies, which all slots of a device share."""

    copy_in: Any
    copy_out: Any

    @classmethod
    def of(cls, runtime: Runtime) -> Lanes:
        """Return new streams of `runtime`."""
        return cls(runtime.stream(), runtime.stream())


class DeviceSlot:
    """Memory and events for the frames of one `job` in flight, which `program` computes.

    A slot is submitted to again only after it was collected; so its memory is never written while it is read, and three
    events order the rest: copied before computed before copied back before collected. It computes on a stream of its
    own, so that the many small kernels at the end of one batch lie under the network of the next.
    """

    def __init__(self, runtime: Runtime, lanes: Lanes, program: Program, job: Job) -> None:
        self._runtime, self._lanes, self._program, self._job = runtime, lanes, program, job
        self._frames = runtime.on_device((job.batch, *job.image_hw, 3), torch.uint8)
        self._copied, self._computed, self._returned = runtime.event(), runtime.event(), runtime.event()
        self._stream = runtime.stream()
        self._results: list[Tensor] = []
        # The largest first: it makes the memory for the results.
        sizes = sorted({job.batch, *(2**power for power in range(job.batch.bit_length()))}, reverse=True)
        works = runtime.captured(self._stream, [partial(self._compute, size) for size in sizes])
        self._works = dict(zip(sizes, works, strict=True))
        self._rows, *self._outputs = self._results
        self._host_outputs = [runtime.pinned(tuple(output.shape), output.dtype) for output in self._outputs]
        self._sources: list[Tensor] = []

    def submit(self, images: Sequence[UInt8Array | Tensor]) -> None:
        """Queue `images` uint8 (H, W, 3), at most a batch, tensors if on the device; returns before any is computed."""
        # They stay alive here until the next are submitted.
        self._sources = [
            image if isinstance(image, Tensor) else pinned_tensor(image, self._runtime) for image in images
        ]
        count = len(images)
        runtime, lanes = self._runtime, self._lanes
        runtime.run(lanes.copy_in, partial(_copy, list(self._frames[:count]), self._sources))
        runtime.record(self._copied, lanes.copy_in)
        runtime.wait(self._stream, self._copied)
        runtime.run(self._stream, self._works[min(size for size in self._works if size >= count)])
        runtime.record(self._computed, self._stream)
        runtime.wait(lanes.copy_out, self._computed)
        runtime.run(lanes.copy_out, partial(_copy, self._host_outputs, self._outputs))
        runtime.record(self._returned, lanes.copy_out)

    def collect(self) -> list[Float32Array]:
        """Wait for the frames' own event; see `Slot`."""
        self._runtime.wait_for(self._returned)
        candidates, state = (output.numpy() for output in self._host_outputs)
        select = self._job.select
        kept = (selected(candidates[place], state[place], select) for place in range(len(self._sources)))
        return [select.kept(self._all_rows(place)) if rows is None else rows for place, rows in enumerate(kept)]

    def close(self) -> None:
        """Let nothing be in flight when the memory goes."""
        if self._sources:
            self._runtime.wait_for(self._returned)

    @torch.inference_mode()
    def _compute(self, size: int) -> None:
        """Compute the first `size` frames."""
        results = self._program(self._frames[:size])
        if self._results:
            _copy([place[:size] for place in self._results], results)
        else:
            self._results = list(results)

    def _all_rows(self, place: int) -> Float32Array:
        """Return all rows f32 (A, 6) of the frame at `place`."""
        rows = self._runtime.pinned(tuple(self._rows[place].shape), self._rows.dtype)
        self._runtime.run(self._lanes.copy_out, partial(_copy, [rows], [self._rows[place]]))
        self._runtime.record(self._returned, self._lanes.copy_out)
        self._runtime.wait_for(self._returned)
        array: Float32Array = rows.numpy()
        return array


def _copy(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source, non_blocking=True)
