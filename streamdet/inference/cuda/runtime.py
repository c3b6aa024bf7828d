"""The device as slots use it: memory, streams that work is queued on, and events that order the streams.

Only `wait_for` waits for the device, and only for one event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from streamdet.inference.host import Worker

WARM_UP_RUNS = 3  # before a capture, so that kernels are chosen and workspaces exist


class Runtime(Protocol):
    """A device, or a test double of one. Streams and events are of the device's own types."""

    @property
    def device(self) -> torch.device:
        """The device of tensors."""

    def pinned(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return page-locked host memory, which the device copies from and to while the host goes on."""

    def on_device(self, shape: tuple[int, ...], dtype: torch.dtype, stream: Any) -> Tensor:
        """Return device memory whose first use is on `stream`."""

    def stream(self) -> Any:
        """Return a new stream: work on it runs in order, and concurrently with that of other streams."""

    def decoder_stream(self) -> Any:
        """Return the stream that video decoders write their pictures on."""

    def event(self) -> Any:
        """Return a new event."""

    def run(self, stream: Any, work: Callable[[], None]) -> None:
        """Queue `work` on `stream`."""

    def record(self, event: Any, stream: Any) -> None:
        """Let `event` happen when all work that is queued on `stream` now is done."""

    def wait(self, stream: Any, event: Any) -> None:
        """Let all work that is queued on `stream` later wait for `event`."""

    def wait_for(self, event: Any) -> None:
        """Block the calling thread until `event` has happened."""

    def call_after(self, event: Any, done: Callable[[], None]) -> None:
        """Call `done` from another thread when `event`, as last recorded, has happened, or the device has failed."""

    def captured(self, stream: Any, works: Sequence[Callable[[], None]]) -> list[Callable[[], None]]:
        """Return each of `works` in the form that starts fastest on `stream`, where they run one at a time.

        Each of them is called a few times first, and must always use the same memory.
        """

    def close(self) -> None:
        """End the thread of `call_after`, after the calls that are still due."""


class CudaRuntime:
    """A CUDA device; `captured` makes a CUDA graph."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._waiter = Worker("cuda events")

    def pinned(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return page-locked memory, which torch uses again when it is free and all copies from it are done."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def on_device(self, shape: tuple[int, ...], dtype: torch.dtype, stream: torch.cuda.Stream) -> Tensor:
        """Return memory from torch's pool for `stream`: work that still uses it can only be queued on that stream."""
        with torch.cuda.stream(stream):
            return torch.empty(shape, dtype=dtype, device=self.device)

    def stream(self) -> torch.cuda.Stream:
        """Return a stream that begins after what is queued on the current one, such as the copy of the weights."""
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        return stream

    def decoder_stream(self) -> torch.cuda.Stream:
        """Return the default stream, which FFmpeg uses."""
        return torch.cuda.default_stream(self.device)

    def event(self) -> torch.cuda.Event:
        """Return an event without timing, which is cheaper; a thread that waits for it sleeps instead of spinning."""
        return torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]

    def run(self, stream: torch.cuda.Stream, work: Callable[[], None]) -> None:
        """Call `work` with `stream` current."""
        with torch.cuda.stream(stream):
            work()

    def record(self, event: torch.cuda.Event, stream: torch.cuda.Stream) -> None:
        """Record `event` on `stream`."""
        event.record(stream)

    def wait(self, stream: torch.cuda.Stream, event: torch.cuda.Event) -> None:
        """Let `stream` wait for `event`."""
        stream.wait_event(event)

    def wait_for(self, event: torch.cuda.Event) -> None:
        """Block on `event`."""
        event.synchronize()

    def call_after(self, event: torch.cuda.Event, done: Callable[[], None]) -> None:
        """Queue `done` for the one thread that waits for events, in the order of these calls."""
        if not self._waiter.call(partial(self._call, event, done)):
            done()

    def captured(self, stream: torch.cuda.Stream, works: Sequence[Callable[[], None]]) -> list[Callable[[], None]]:
        """Return the replays of CUDA graphs, which share the memory of their intermediate results."""
        pool = torch.cuda.graph_pool_handle()
        return [_graph(stream, work, pool).replay for work in works]

    def close(self) -> None:
        """End the thread that waits for events."""
        self._waiter.close()

    def _call(self, event: torch.cuda.Event, done: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # of a failed device, which `Slot.collect` raises
            self.wait_for(event)
        done()


def _graph(stream: torch.cuda.Stream, work: Callable[[], None], pool: Any) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    # Without TF32, fp32 on a GPU is as exact as on a CPU. For speed there is half precision.
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
    with exact, torch.cuda.stream(stream):
        for _ in range(WARM_UP_RUNS):
            work()
        # Not `torch.cuda.graph`, which waits for the whole device, while other threads go on using it.
        graph.capture_begin(pool=pool, capture_error_mode="thread_local")
        try:
            work()
        finally:
            graph.capture_end()
    return graph
