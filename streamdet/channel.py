"""A bounded queue between two threads that can end, fail, be drained or be cancelled."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Cancelled(Exception):  # noqa: N818 - a signal between stages, never an error a user sees
    """Raised in a stage whose pipeline has been cancelled."""


class _Waits(threading.local):
    total_s = 0.0


_waits = _Waits()


def waited_s() -> float:
    """Return how long the current thread has been blocked on channels so far, in s."""
    return _waits.total_s


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

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        if not condition():
            since = time.perf_counter()
            self._changed.wait_for(condition)
            _waits.total_s += time.perf_counter() - since
