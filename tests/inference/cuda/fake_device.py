"""A device whose copies and kernels finish in any order that its streams and events allow."""

import threading
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

    One that `hesitates` begins only when it is waited for; one that `goes_on` has a thread that runs what is queued, as
    a real device would.
    """

    def __init__(self, seed: int, *, obeys_events: bool = True, hesitates: bool = False, goes_on: bool = False) -> None:
        self.captures = 0
        self._changed = threading.Condition()
        self._closed = False
        self.device = torch.device("cpu")
        self._random = np.random.default_rng(seed)
        self.pinned_memory: list[Tensor] = []
        self._streams: list[Stream] = []
        self._calls: list[tuple[Event, int, Callable[[], None]]] = []
        self._obeys_events, self._hesitates = obeys_events, hesitates
        if goes_on:
            threading.Thread(target=self._go_on, name="fake device", daemon=True).start()

    def pinned(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        tensor = torch.full(shape, 99, dtype=dtype)
        self.pinned_memory.append(tensor)
        return tensor

    def on_device(self, shape: tuple[int, ...], dtype: torch.dtype, stream: Stream) -> Tensor:
        return torch.full(shape, 77, dtype=dtype)

    def stream(self) -> Stream:
        self._streams.append(Stream())
        return self._streams[-1]

    def decoder_stream(self) -> Stream:
        return self.stream()

    def event(self) -> Event:
        return Event()

    def run(self, stream: Stream, work: Callable[[], None]) -> None:
        self._queue(stream, work)
        self._go_on_for_a_while()

    def record(self, event: Event, stream: Stream) -> None:
        with self._changed:
            event.recorded += 1
            number = event.recorded

        def happen() -> None:
            event.happened = max(event.happened, number)

        self._queue(stream, happen)

    def wait(self, stream: Stream, event: Event) -> None:
        if self._obeys_events:
            self._queue(stream, lambda: None, event)

    def wait_for(self, event: Event) -> None:
        number = event.recorded
        while event.happened < number:
            assert self._step() or event.happened >= number, "what is waited for can never happen"

    def call_after(self, event: Event, done: Callable[[], None]) -> None:
        with self._changed:
            self._calls.append((event, event.recorded, done))
            self._changed.notify_all()

    def close(self) -> None:
        self.finish()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

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

    def _queue(self, stream: Stream, work: Callable[[], None], event: Event | None = None) -> None:
        with self._changed:
            stream.queue.append((work, event, event.recorded if event else 0))
            self._changed.notify_all()

    def _go_on(self) -> None:
        """Run what is queued until the device is closed."""
        while not self._closed:
            if not self._step():
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._able() or self._due())

    def _step(self) -> bool:
        """Run the head of one of the streams, then the calls that are due; returns False when there is nothing."""
        with self._changed:
            able = self._able()
            if able:
                work, _, _ = able[int(self._random.integers(len(able)))].queue.popleft()
                work()
            due = self._due()
            self._calls = [call for call in self._calls if call not in due]
        for _, _, done in due:
            done()
        return bool(able or due)

    def _able(self) -> list[Stream]:
        return [stream for stream in self._streams if stream.next_can_run()]

    def _due(self) -> list[tuple[Event, int, Callable[[], None]]]:
        return [call for call in self._calls if call[0].happened >= call[1]]
