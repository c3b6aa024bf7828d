"""A device whose copies and kernels finish in any order that its streams and events allow."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass
class Event:
    """`recorded` times so far, of which `happened` have happened."""

    recorded: int = 0
    happened: int = 0


@dataclass
class Stream:
    """What is queued: a function and the event, with its number, that must happen before."""

    queue: deque[tuple[Callable[[], None], Event | None, int]] = field(default_factory=deque)

    def next_can_run(self) -> bool:
        if not self.queue:
            return False
        _, event, number = self.queue[0]
        return event is None or event.happened >= number


class FakeRuntime:
    """Runs what is queued late, and in an order drawn by `seed`; with `obeys_events` off it starts too early.

    One that `hesitates` begins only when it is waited for.
    """

    def __init__(self, seed: int, *, obeys_events: bool = True, hesitates: bool = False) -> None:
        self.captures = 0
        self.device = torch.device("cpu")
        self._random = np.random.default_rng(seed)
        self.pinned_memory: list[Tensor] = []
        self._streams: list[Stream] = []
        self._calls: list[tuple[Event, int, Callable[[], None]]] = []
        self._obeys_events, self._hesitates = obeys_events, hesitates

    def pinned(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        tensor = torch.full(shape, 99, dtype=dtype)
        self.pinned_memory.append(tensor)
        return tensor

    def on_device(self, shape: tuple[int, ...], dtype: torch.dtype, stream: Stream) -> Tensor:
        return torch.full(shape, 77, dtype=dtype)

    def stream(self) -> Stream:
        self._streams.append(Stream())
        return self._streams[-1]

    def decoders_stream(self) -> Stream:
        return self.stream()

    def event(self) -> Event:
        return Event()

    def run(self, stream: Stream, work: Callable[[], None]) -> None:
        stream.queue.append((work, None, 0))
        self._go_on_for_a_while()

    def record(self, event: Event, stream: Stream) -> None:
        event.recorded += 1
        number = event.recorded

        def happen() -> None:
            event.happened = max(event.happened, number)

        stream.queue.append((happen, None, 0))

    def wait(self, stream: Stream, event: Event) -> None:
        if self._obeys_events:
            stream.queue.append((lambda: None, event, event.recorded))

    def wait_for(self, event: Event) -> None:
        number = event.recorded
        while event.happened < number:
            assert self._step(), "what is waited for can never happen"

    def call_after(self, event: Event, done: Callable[[], None]) -> None:
        self._calls.append((event, event.recorded, done))

    def close(self) -> None:
        self.finish()

    def finish(self) -> None:
        """Go on until nothing is queued that can run."""
        while self._step():
            pass

    def captured(self, stream: Stream, works: Sequence[Callable[[], None]]) -> list[Callable[[], None]]:
        for work in works:
            self.captures += 1
            work()
        return list(works)

    def _go_on_for_a_while(self) -> None:
        for _ in range(0 if self._hesitates else int(self._random.integers(0, 4))):
            self._step()

    def _step(self) -> bool:
        """Run the head of one of the streams; returns False when none can go on."""
        able = [stream for stream in self._streams if stream.next_can_run()]
        if not able:
            return False
        work, _, _ = able[int(self._random.integers(len(able)))].queue.popleft()
        work()
        due = [call for call in self._calls if call[0].happened >= call[1]]
        self._calls = [call for call in self._calls if call not in due]
        for _, _, done in due:
            done()
        return True
