"""What a slot needs of a device: memory, streams that work is queued on, and events that order them.

No method waits for the device but `wait_for`, and that for one event only.
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
    """A device, or what stands for one in a test; streams and events are its own."""

    @property
    def device(self) -> torch.device:
        """Where tensors are."""

    def pinned(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return host memory that the device copies from and to by itself."""

    def on_device(self, shape: tuple[int, ...], dtype: torch.dtype, stream: Any) -> Tensor:
        """Return device memory that is used on `stream` first."""

    def stream(self) -> Any:
        """Return a new stream: work on it runs in order, and beside that of other streams."""

    def decoders_stream(self) -> Any:
        """Return the stream that a video decoder leaves its pictures on."""

    def event(self) -> Any:
        """Return a new event."""

    def run(self, stream: Any, work: Callable[[], None]) -> None:
        """Queue `work`."""

    def record(self, event: Any, stream: Any) -> None:
        """Let `event` happen when all that is queued on `stream` is done."""

    def wait(self, stream: Any, event: Any) -> None:
        """Let what is queued on `stream` from now on wait for `event`."""

    def wait_for(self, event: Any) -> None:
        """Block the calling thread until `event` has happened."""

    def call_after(self, event: Any, done: Callable[[], None]) -> None:
        """Call `done` from another thread when `event`, as it was recorded last, has happened, or has failed to."""

    def captured(self, stream: Any, works: Sequence[Callable[[], None]]) -> list[Callable[[], None]]:
        """Return each of the `works` in the form that starts fastest on `stream`, where they run one at a time.

        Each is called a few times, and always uses the same memory.
        """

    def close(self) -> None:
        """End the thread that calls back, after what it still has to call."""


class CudaRuntime:
    """A CUDA device; `captured` makes a CUDA graph."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._waiter = Worker("cuda events")

    def pinned(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return page-locked memory, which torch uses again when it was let go and all copies from it are done."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def on_device(self, shape: tuple[int, ...], dtype: torch.dtype, stream: torch.cuda.Stream) -> Tensor:
        """Return device memory, which torch hands out by stream: who had it before may still be using it on another."""
        with torch.cuda.stream(stream):
            return torch.empty(shape, dtype=dtype, device=self.device)

    def stream(self) -> torch.cuda.Stream:
        """Return a stream that begins after what is queued on the current one, such as the copy of the weights."""
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        return stream

    def decoders_stream(self) -> torch.cuda.Stream:
        """Return the default stream, which FFmpeg uses."""
        return torch.cuda.default_stream(self.device)

    def event(self) -> torch.cuda.Event:
        """Return an event without a time, which is cheaper; who waits for it leaves the core to others."""
        return torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]

    def run(self, stream: torch.cuda.Stream, work: Callable[[], None]) -> None:
        """Call `work` with `stream` current."""
        with torch.cuda.stream(stream):
            work()

    def record(self, event: torch.cuda.Event, stream: torch.cuda.Stream) -> None:
        """Record `event` on `stream`."""
        event.record(stream)

    def wait(self, stream: torch.cuda.Stream, event: torch.cuda.Event) -> None:
        """Let `stream` wait."""
        stream.wait_event(event)

    def wait_for(self, event: torch.cuda.Event) -> None:
        """Block on `event`."""
        event.synchronize()

    def call_after(self, event: torch.cuda.Event, done: Callable[[], None]) -> None:
        """Let the one thread that waits for events, in the order of these calls, call `done`."""
        if not self._waiter.call(partial(self._call, event, done)):
            done()

    def captured(self, stream: torch.cuda.Stream, works: Sequence[Callable[[], None]]) -> list[Callable[[], None]]:
        """Return the replays of CUDA graphs, which share the memory that they compute in."""
        pool = torch.cuda.graph_pool_handle()
        return [_graph(stream, work, pool).replay for work in works]

    def close(self) -> None:
        """End the thread that waits for events."""
        self._waiter.close()

    def _call(self, event: torch.cuda.Event, done: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # of a device that has failed, the one who collects is told
            self.wait_for(event)
        done()


def _graph(stream: torch.cuda.Stream, work: Callable[[], None], pool: Any) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    # Full precision is that of a CPU: who wants speed computes in half.
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
    with exact, torch.cuda.stream(stream):
        for _ in range(WARM_UP_RUNS):
            work()
        # Not `torch.cuda.graph`, which waits for the whole device. Other threads go on using it meanwhile.
        graph.capture_begin(pool=pool, capture_error_mode="thread_local")
        try:
            work()
        finally:
            graph.capture_end()
    return graph
