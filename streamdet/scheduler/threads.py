"""The threads of runs: a channel to the reader, a small pool, and stages that run on the pool one item at a time."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Sink(Protocol[T_contra]):
    """A receiver of items in order, such as a `Stage` or a `Channel`; neither method waits."""

    def put(self, item: T_contra) -> None:
        """Accept the next item."""

    def end(self, error: BaseException | None = None) -> None:
        """Signal that no item follows, because of `error` if there is one."""


class Channel(Generic[T]):
    """A queue from any thread to one reader, which can end, fail or be cancelled; writing to it never waits.

    With a `depth`, the oldest item is discarded to make room, and counted in `dropped`. `left` is called for each item
    that was read or discarded to make room. `changed` is notified of every change; a reader can wait for several
    channels at once if they share one.
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
        """End the channel after the queued items, with `error` if there is one; only the first call counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
                self._changed.notify_all()

    def cancel(self) -> None:
        """End the channel now, and discard the queued items."""
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
        """Whether all items have been read, and no error is left to be raised."""
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
        """Return what ends the reading; the error is not kept, since its traceback refers to frames of the run."""
        error, self._error = self._error, None
        return error or StopIteration()


class Pool:
    """A few threads that run tasks in the order in which they were submitted.

    The threads are daemons, and only `close` waits for them: a task that never returns does not keep the process alive.
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
        """End the threads after the submitted tasks; return how many go on at `deadline_s` of ``time.monotonic()``."""
        for _ in self._threads:
            self._tasks.put(None)
        return join_all(self._threads, deadline_s)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()


def join_all(threads: list[threading.Thread], deadline_s: float) -> int:
    """Wait for `threads` until `deadline_s` of ``time.monotonic()``; return how many go on."""
    for thread in threads:
        if thread.ident is not None and thread is not threading.current_thread():
            thread.join(max(deadline_s - time.monotonic(), 0.0))
    return sum(thread.is_alive() and thread is not threading.current_thread() for thread in threads)


@dataclass(slots=True)
class StageTime:
    """The number of items that a stage has processed, and the time in s during which it was busy with them."""

    name: str
    items: int = 0
    busy_s: float = 0.0

    @property
    def per_item_ms(self) -> float:
        """Mean busy time per item in ms."""
        return 1e3 * self.busy_s / max(self.items, 1)


class Stage(Generic[In, Out]):
    """Applies `function` to items on a `pool`, in order and one at a time, and passes the return values to `then`.

    With a `depth`, the oldest item that waits is discarded to make room, counted in `dropped` and reported by a call of
    `left`. `finish` is called once, after the last item: when the items have ended, when `function` has failed, or when
    the stage was cancelled. The error of either function goes to `then` after the items ahead of it.
    """

    def __init__(
        self,
        pool: Pool,
        name: str,
        function: Callable[[In], Out],
        then: Sink[Out],
        finish: Callable[[], None] = lambda: None,
        *,
        depth: int | None = None,
        left: Callable[[], None] = lambda: None,
    ) -> None:
        self.time, self.dropped = StageTime(name), 0
        self._pool, self._function, self._then, self._finish = pool, function, then, finish
        self._depth, self._left = depth, left
        self._inbox: deque[In] = deque()
        self._lock = threading.RLock()  # a signal's handler may stop a run while its thread holds the lock
        self._scheduled = self._ending = False
        self._error: BaseException | None = None
        self._ended = threading.Event()

    def put(self, item: In) -> None:
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
        """End the stage after the items that wait, with `error` if there is one; only the first call counts."""
        with self._lock:
            if not self._ending:
                self._ending, self._error = True, error
                self._schedule()

    def cancel(self) -> None:
        """End the stage after the item that it is working on; the others are discarded."""
        with self._lock:
            self._inbox.clear()
        self.end()

    def join(self, deadline_s: float) -> bool:
        """Wait until the stage has ended, or `deadline_s` of ``time.monotonic()``; return whether it has."""
        return self._ended.wait(max(deadline_s - time.monotonic(), 0.0))

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._pool.submit(self._work)

    def _work(self) -> None:
        """Process one item or end; for the next item the stage queues at the pool again, behind other stages."""
        with self._lock:
            items = [self._inbox.popleft()] if self._inbox else []
        if not items:
            self._close()  # `_scheduled` stays set: the stage never runs again
            return
        self._step(items.pop())
        with self._lock:
            self._scheduled = False
            if self._inbox or self._ending:
                self._schedule()

    def _step(self, item: In) -> None:
        since_s = time.perf_counter()
        try:
            output = self._function(item)
        except BaseException as error:  # of any kind: it is raised to the reader
            self._fail(error)
            return
        self.time.busy_s += time.perf_counter() - since_s
        self.time.items += 1
        self._then.put(output)

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
