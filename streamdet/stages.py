"""Bounded stages: run an iterable in a thread of its own and read it as an iterable.

    with Stages() as stages:
        frames = stages.spawn(source, name="decode", depth=4)
        for found in stages.spawn(detect(frames), name="detect", depth=2): ...

An error in a stage reaches the reader after the items ahead of it, as the original exception. `stop` drains: what has
been produced still comes out. `cancel` discards. Leaving the block cancels all stages and joins their threads.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Cancelled(Exception):  # noqa: N818 - a signal between stages, never an error a user sees
    """Raised in a stage whose pipeline has been cancelled."""


class _Waits(threading.local):
    """Seconds the current thread has spent blocked on channels."""

    total_s = 0.0


_waits = _Waits()


class Channel(Generic[T]):
    """Bounded queue from one producer to one consumer that can end, fail, be stopped or be cancelled.

    `dropped` counts items discarded by `drop_oldest`, which replaces the oldest item instead of waiting for room.
    """

    def __init__(self, depth: int, *, drop_oldest: bool = False) -> None:
        self.dropped = 0
        self._items: deque[T] = deque()
        self._depth, self._drop_oldest = depth, drop_oldest
        self._putting = self._stopped = self._ended = self._cancelled = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Append `item`, waiting for room; returns whether more items are wanted. Raises Cancelled."""
        with self._changed:
            if self._drop_oldest and len(self._items) == self._depth:
                self._items.popleft()
                self.dropped += 1
            self._putting = True
            self._wait_until(lambda: self._cancelled or len(self._items) < self._depth)
            self._putting = False
            if self._cancelled:
                raise Cancelled
            self._items.append(item)
            self._changed.notify_all()
            return not self._stopped

    def end(self, error: BaseException | None = None) -> None:
        """No more items: the reader gets what is buffered, then `error` or the end."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Drain: the reader still gets what is buffered, and does not wait for a producer that is blocked."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Discard what is buffered; both sides get Cancelled."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def ready(self) -> bool:
        """Whether the next read would not wait."""
        with self._changed:
            return self._readable()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._wait_until(self._readable)
            if self._cancelled:
                raise Cancelled
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            raise StopIteration

    def _readable(self) -> bool:
        drained = self._ended or (self._stopped and not self._putting)
        return bool(self._items) or drained or self._cancelled

    def _wait_until(self, condition: object) -> None:
        if not condition():  # type: ignore[operator]
            since = time.perf_counter()
            self._changed.wait_for(condition)  # type: ignore[arg-type]
            _waits.total_s += time.perf_counter() - since


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
        self._since, self._waited_s = time.perf_counter(), _waits.total_s

    def __exit__(self, *_: object) -> None:
        elapsed = time.perf_counter() - self._since
        self._stage_time.busy_s += elapsed - (_waits.total_s - self._waited_s)


def _pump(items: Iterable[T], channel: Channel[T], stage_time: StageTime) -> None:
    """Move `items` into `channel` until they end, fail, or nobody wants more."""
    error: BaseException | None = None
    try:
        with _accounted(stage_time):
            for item in items:
                stage_time.items += 1
                if not channel.put(item):
                    break
    except Cancelled:
        channel.cancel()
    except BaseException as raised:  # whatever it is, it belongs to the reader
        error = raised
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
        channel.end(error)


# Threads are daemons so that a pipeline that was never closed cannot keep the interpreter from exiting; ending such a
# pipeline here keeps its threads out of the native libraries while these are torn down.
_live: weakref.WeakSet[Stages] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for stages in list(_live):
        stages.close()
