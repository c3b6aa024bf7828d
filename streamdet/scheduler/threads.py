"""The threads of runs: a channel to the reader, a small pool, and stages that run on the pool one item at a time."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Sink(Protocol[T_contra]):
    """What takes the items of a stage, in order; neither method waits."""

    def put(self, item: T_contra) -> None:
        """Take the next item."""

    def end(self, error: BaseException | None = None) -> None:
        """Take note that no item follows, because of `error` if there is one."""


class Channel(Generic[T]):
    """A queue from any thread to one reader that can end, fail or be cancelled; writing to it never waits.

    With a `depth`, the oldest item is discarded to make room, and counted in `dropped`. `left` is called for each item
    that the reader has taken or that was discarded for another one. `changed` is notified of all that happens; channels
    that share one can be waited for together.
    """

    def __init__(
        self,
        depth: int | None = None,
        *,
        left: Callable[[], None] = lambda: None,
        changed: threading.Condition | None = None,
    ) -> None:
        self.depth, self.dropped = depth, 0
        self._items: deque[T] = deque()
        self._left = left
        self._error: BaseException | None = None
        self._ended = False
        self._changed = changed or threading.Condition()

    def put(self, item: T) -> None:
        """Append `item`, unless the channel has ended."""
        with self._changed:
            if self._ended:
                return
            is_full = len(self._items) == self.depth
            if is_full:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
        if is_full:
            self._left()

    def end(self, error: BaseException | None = None) -> None:
        """Let the reader have what is queued, then `error` or the end; only the first call counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
                self._changed.notify_all()

    def cancel(self) -> None:
        """End at once: what is queued is discarded."""
        with self._changed:
            self._items.clear()
            self._ended, self._error = True, None
            self._changed.notify_all()

    def ready(self) -> bool:
        """Return whether the next read would not wait."""
        with self._changed:
            return self._readable()

    @property
    def finished(self) -> bool:
        """Whether all that will ever be read has been read."""
        with self._changed:
            return self._ended and not self._items and self._error is None

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(self._readable)
            if not self._items:
                raise self._ending()
            item = self._items.popleft()
        self._left()
        return item

    def _readable(self) -> bool:
        return bool(self._items) or self._ended

    def _ending(self) -> BaseException:
        """Return what ends the reading; an error is kept nowhere, since its traceback refers to frames of this run."""
        error, self._error = self._error, None
        return error or StopIteration()


class Pool:
    """A few threads that run tasks in the order of their arrival.

    They are daemons, and nothing waits for them but `close`: a task that never returns cannot keep the process.
    """

    def __init__(self, size: int) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name="stages", daemon=True) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Callable[[], None]) -> None:
        """Run `task`, which must not raise, in one of the threads."""
        self._tasks.put(task)

    def close(self, deadline_s: float) -> int:
        """End the threads after the tasks at hand; return how many have not ended by ``time.monotonic()``."""
        for _ in self._threads:
            self._tasks.put(None)
        return join_all(self._threads, deadline_s)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()


def join_all(threads: list[threading.Thread], deadline_s: float) -> int:
    """Wait for `threads` until ``time.monotonic()`` is `deadline_s`; return how many go on."""
    for thread in threads:
        if thread.ident is not None and thread is not threading.current_thread():
            thread.join(max(deadline_s - time.monotonic(), 0.0))
    return sum(thread.is_alive() and thread is not threading.current_thread() for thread in threads)


@dataclass(slots=True)
class StageTime:
    """What one stage did: the number of items, and the time in s during which it was busy with them."""

    name: str
    items: int = 0
    busy_s: float = 0.0

    @property
    def per_item_ms(self) -> float:
        """Mean busy time per item in ms."""
        return 1e3 * self.busy_s / max(self.items, 1)


class Stage(Generic[A, B]):
    """Applies `function` to items on a `pool`: in order, one at a time, and hands what it returns to `then`.

    With a `depth`, the oldest item that waits is discarded to make room, counted in `dropped` and told by `left`. When
    the items end, when `function` fails and when the stage is cancelled, `finish` is called once, in the same order; an
    error, its own or that of `function`, goes to `then` after the items ahead of it.
    """

    def __init__(
        self,
        pool: Pool,
        name: str,
        function: Callable[[A], B],
        then: Sink[B],
        finish: Callable[[], None] = lambda: None,
        *,
        depth: int | None = None,
        left: Callable[[], None] = lambda: None,
    ) -> None:
        self.time, self.dropped = StageTime(name), 0
        self._pool, self._function, self._then, self._finish = pool, function, then, finish
        self._depth, self._left = depth, left
        self._inbox: deque[A] = deque()
        self._lock = threading.RLock()  # a signal's handler may stop a run while its thread holds the lock
        self._scheduled = self._ending = False
        self._error: BaseException | None = None
        self._ended = threading.Event()

    def put(self, item: A) -> None:
        """Append `item`, unless the stage is ending."""
        with self._lock:
            if self._ending:
                return
            is_full = len(self._inbox) == self._depth
            if is_full:
                self._inbox.popleft()
                self.dropped += 1
            self._inbox.append(item)
            self._schedule()
        if is_full:
            self._left()

    def end(self, error: BaseException | None = None) -> None:
        """End after the items at hand; only the first call counts."""
        with self._lock:
            if not self._ending:
                self._ending, self._error = True, error
                self._schedule()

    def cancel(self) -> None:
        """End after the item that is being worked on; the others are discarded."""
        with self._lock:
            self._inbox.clear()
        self.end()

    def join(self, deadline_s: float) -> bool:
        """Wait until the stage has ended, or ``time.monotonic()`` is `deadline_s`; return whether it has."""
        return self._ended.wait(max(deadline_s - time.monotonic(), 0.0))

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._pool.submit(self._work)

    def _work(self) -> None:
        """Work on one item, or end, and let the others that wait for the pool go first before the next one."""
        with self._lock:
            items = [self._inbox.popleft()] if self._inbox else []
        if not items:
            self._close()  # it is never scheduled again
            return
        self._step(items.pop())
        with self._lock:
            self._scheduled = False
            if self._inbox or self._ending:
                self._schedule()

    def _step(self, item: A) -> None:
        since = time.perf_counter()
        try:
            made = self._function(item)
        except BaseException as error:  # whatever it is, it belongs to the reader
            self._fail(error)
            return
        self.time.busy_s += time.perf_counter() - since
        self.time.items += 1
        self._then.put(made)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._inbox.clear()
            self._ending, self._error = True, error

    def _close(self) -> None:
        try:
            self._finish()
        except BaseException as error:
            self._error = self._error or error
        reason, self._error = self._error, None
        self._then.end(reason)
        self._ended.set()
