"""Threads that call into runtimes, and what becomes of them when the process ends."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from queue import SimpleQueue

LONGEST_WAIT_S = 2.0  # for calls that are under way when a worker is closed, and when the process ends


class Worker:
    """A daemon thread that calls the functions that it is given, one after the other, until it is closed.

    The interpreter ends a daemon thread that comes back to it while it is torn down; where that happens inside a
    runtime's C++, the process is aborted. So the end of the process ends all workers first, and waits for what they are
    busy with, unless that takes too long.
    """

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._ended, self._changing = False, threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        _workers.add(self)
        self._thread.start()

    def call(self, work: Callable[[], None]) -> bool:
        """Let the thread call `work`; returns False, and does not, when the worker was closed."""
        with self._changing:
            if not self._ended:
                self._work.put(work)
            return not self._ended

    def close(self) -> None:
        """End the thread after what it was given; a call that takes too long is left to itself."""
        self.end()
        self.join(LONGEST_WAIT_S)

    def end(self) -> None:
        """Let the thread end after what it was given; returns at once."""
        with self._changing:
            self._ended = True
            self._work.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has ended, for so long at most."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # and with it what it holds


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    deadline_s = time.monotonic() + LONGEST_WAIT_S
    workers = list(_workers)
    for worker in workers:
        worker.end()
    for worker in workers:
        worker.join(max(0.0, deadline_s - time.monotonic()))
