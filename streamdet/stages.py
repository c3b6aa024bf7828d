"""Bounded stages: run an iterable in a thread of its own and read it as an iterable.

```python
from streamdet.stages import Stages

with Stages() as stages:
    numbers = stages.spawn(range(100), name="count", depth=4)
    for square in stages.spawn((number**2 for number in numbers), name="square", depth=2):
        print(square)
```

An error in a stage reaches the reader after the items ahead of it, as the original exception. `stop` drains: what has
been produced still comes out. `cancel` discards. Leaving the block cancels all stages and joins their threads.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from streamdet.channel import Cancelled, Channel, waited_s

T = TypeVar("T")


@dataclass(slots=True)
class StageTime:
    """What one stage did: `busy_s` excludes the time it waited for its neighbours."""

    name: str
    items: int = 0
    busy_s: float = 0.0

    @property
    def per_item_ms(self) -> float:
        """Mean busy time per item in ms."""
        return 1e3 * self.busy_s / max(self.items, 1)


class Stages:
    """Owns the threads of one pipeline."""

    def __init__(self) -> None:
        self.times: list[StageTime] = []
        self._channels: list[Channel[object]] = []
        self._threads: list[threading.Thread] = []
        _live.add(self)

    def spawn(self, items: Iterable[T], *, name: str, depth: int, drop_oldest: bool = False) -> Channel[T]:
        """Iterate over `items` in a new thread called `name`; at most `depth` of them wait in the returned channel."""
        channel: Channel[T] = Channel(depth, drop_oldest=drop_oldest)
        stage_time = StageTime(name)
        thread = threading.Thread(target=_pump, args=(items, channel, stage_time), name=name, daemon=True)
        self.times.append(stage_time)
        self._channels.append(channel)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
        return channel

    def timed(self, items: Iterable[T], *, name: str) -> Iterator[T]:
        """Yield `items`, and account what the calling thread does with them as the stage `name`."""
        stage_time = StageTime(name)
        self.times.append(stage_time)
        with _accounted(stage_time):
            for item in items:
                yield item
                stage_time.items += 1

    @property
    def dropped(self) -> int:
        """Items dropped so far by stages that drop the oldest."""
        return sum(channel.dropped for channel in self._channels)

    def stop(self) -> None:
        """Drain: the first stage produces no more, everything in flight still comes out."""
        for channel in self._channels[:1]:
            channel.stop()

    def close(self) -> None:
        """Cancel all stages and join their threads."""
        for channel in self._channels:
            channel.cancel()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Stages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _accounted:  # noqa: N801 - used as a verb in `with`
    """Adds the time inside the block, less the time blocked on channels, to a StageTime."""

    def __init__(self, stage_time: StageTime) -> None:
        self._stage_time = stage_time

    def __enter__(self) -> None:
        self._since, self._waited_s = time.perf_counter(), waited_s()

    def __exit__(self, *_: object) -> None:
        elapsed = time.perf_counter() - self._since
        self._stage_time.busy_s += elapsed - (waited_s() - self._waited_s)


def _pump(items: Iterable[T], channel: Channel[T], stage_time: StageTime) -> None:
    """Move `items` into `channel` until they end, fail, or nobody wants more."""
    error: BaseException | None = None
    try:
        with _accounted(stage_time), _closed(items):
            for item in items:
                stage_time.items += 1
                if not channel.put(item):
                    break
    except Cancelled:
        channel.cancel()
    except BaseException as raised:  # whatever it is, it belongs to the reader
        error = raised
    channel.end(error)


@contextmanager
def _closed(items: Iterable[T]) -> Iterator[None]:
    """Close `items`, if they can be closed, when the block is left."""
    try:
        yield
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


# Threads are daemons so that a pipeline that was never closed cannot keep the interpreter from exiting; ending such a
# pipeline here keeps its threads out of the native libraries while these are torn down.
_live: weakref.WeakSet[Stages] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for stages in list(_live):
        stages.close()
