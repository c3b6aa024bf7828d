"""Several runs at once, read as one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Self

from streamdet.options import RunOptions
from streamdet.pipeline.opening import SourceLike
from streamdet.pipeline.run import CLOSE_TIMEOUT_S, Run
from streamdet.result import Result
from streamdet.scheduler.shared import OwnProcess

TURN_S = 1.0  # how long a file may take for a result before the turn passes to another one

# Returns the run of a source, not opened yet, that notifies a condition of its results; raises InputError.
NewRun = Callable[[SourceLike, RunOptions, threading.Condition], Run]


class Runs:
    """An iterator of (run, result) over several runs, and a context manager; made by `Pipeline.runs`.

    Results of live sources come as they arrive and those of files in turn, `at_once` files at a time; live sources and
    files alternate where both have results. A file without a result for `TURN_S` loses its turn until it has one. Each
    source is opened in a thread of its own. A run that fails keeps its error while the others go on; when all have
    ended, ExceptionGroup is raised with the errors. `all` holds the runs in the order of their sources, also those that
    have ended; each can be stopped and cancelled by itself.
    """

    def __init__(self, sources: Iterable[SourceLike], new_run: NewRun, options: RunOptions, *, at_once: int) -> None:
        self._new_run, self._at_once, self._options = new_run, at_once, options
        self._changed, self._process = threading.Condition(), OwnProcess()
        self._waiting: deque[Run] = deque()
        self._active: deque[Run] = deque()
        self._has_raised = self._stopped = self._was_live = False
        self._late: set[Run] = set()  # files that had no result in their turn
        self.all: list[Run] = []
        for source in sources:
            self.add(source)

    def add(self, source: SourceLike, options: RunOptions | None = None) -> Run:
        """Add a run of `source`, with `options` or those of the others; it begins when the next result is read.

        Raises InputError as a run does, and ValueError when the runs have been stopped.
        """
        run = self._new_run(source, options or self._options, self._changed)
        with self._changed:
            if self._stopped:
                raise ValueError("expected runs that go on, found runs that were stopped")
            self.all.append(run)
            self._waiting.append(run)
            self._changed.notify_all()
        return run

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Run, Result]:
        self._process.require()
        while run := self._wait():
            try:
                return run, next(run)
            except StopIteration:
                self._active.remove(run)
            except Exception:  # kept in `run.error`
                self._active.remove(run)
        errors = [run.error for run in self.all if run.error]
        if not errors or self._has_raised:
            raise StopIteration
        self._has_raised = True
        raise BaseExceptionGroup(f"{len(errors)} of {len(self.all)} runs failed", errors)

    def stop(self) -> None:
        """Stop all runs, see `Run.stop`; those that have not begun do not begin. Does not wait."""
        self._stopped = True
        for run in self.all:
            run.stop()

    def cancel(self) -> None:
        """Cancel all runs, see `Run.cancel`. Does not wait."""
        self._stopped = True
        for run in self.all:
            run.cancel()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Cancel all runs, and wait for their threads until `timeout_s` have passed; see `Run.close`."""
        if not self._process:
            return
        self.cancel()
        deadline_s = time.monotonic() + timeout_s
        for run in self.all:
            run.close(max(deadline_s - time.monotonic(), 0.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self) -> Run | None:
        """Wait until a run has a result, an error or its end to be read, and return it; None when all have ended."""
        with self._changed:
            begin_s = time.monotonic()
            while True:
                self._begin()
                if not self._active:
                    return None
                left_s = begin_s + TURN_S - time.monotonic()
                if left_s <= 0:
                    self._late.update(self._next_file())
                if run := self._next_ready():
                    # To the back, so that the turn passes to the next run of its kind.
                    self._active.remove(run)
                    self._active.append(run)
                    self._late.discard(run)
                    self._was_live = run.live
                    return run
                self._changed.wait(left_s if left_s > 0 else None)

    def _begin(self) -> None:
        """Start the live runs that wait, and files up to the number that is read at once."""
        for run in list(self._waiting):
            files = sum(not each.live for each in self._active)
            if run.live or files < self._at_once:
                self._waiting.remove(run)
                self._active.append(run)
                run.start()

    def _next_ready(self) -> Run | None:
        """Return the run to read from next, None if none is ready."""
        live = [run for run in self._active if run.live and run.ready()][:1]
        file = [run for run in self._next_file() if run.ready()]
        return next(iter(file + live if self._was_live else live + file), None)

    def _next_file(self) -> list[Run]:
        """Return the file whose turn it is as a list, empty if there is none."""
        return [run for run in self._active if not run.live and (run not in self._late or run.ready())][:1]
