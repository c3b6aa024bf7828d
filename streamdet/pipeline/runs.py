"""Several runs at once, read as one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from streamdet.options import RunOptions
from streamdet.pipeline.run import CLOSE_TIMEOUT_S, Run, SourceLike
from streamdet.result import Result

# Makes the run of a source, not opened yet, that notifies a condition of its results; raises InputError.
NewRun = Callable[[SourceLike, RunOptions, threading.Condition], Run]


class Runs:
    """An iterator of (run, result) over several runs, and a context manager; made by `Pipeline.runs`.

    Results of live sources come as they arrive, those of files in turn, `at_once` files at a time. Sources are opened
    in threads of their own. A run that fails keeps its error while the others go on; when all have ended,
    ExceptionGroup is raised with the errors. `all` holds the runs in the order of their sources, ended ones too; each
    can be stopped and cancelled by itself.
    """

    def __init__(self, sources: Iterable[SourceLike], new_run: NewRun, options: RunOptions, *, at_once: int) -> None:
        self._new_run, self._at_once, self._options = new_run, at_once, options
        self._changed = threading.Condition()
        self._waiting: deque[Run] = deque()
        self._active: deque[Run] = deque()
        self._has_raised = False
        self.all: list[Run] = []
        for source in sources:
            self.add(source)

    def add(self, source: SourceLike, options: RunOptions | None = None) -> Run:
        """Add a run of `source`, with the options of the others or its own; it begins when these runs are read on."""
        run = self._new_run(source, options or self._options, self._changed)
        with self._changed:
            self.all.append(run)
            self._waiting.append(run)
            self._changed.notify_all()
        return run

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Run, Result]:
        while run := self._wait():
            try:
                return run, next(run)
            except StopIteration:
                self._active.remove(run)
            except Exception:  # it stays in `run.error`
                self._active.remove(run)
        errors = [run.error for run in self.all if run.error]
        if not errors or self._has_raised:
            raise StopIteration
        self._has_raised = True
        raise BaseExceptionGroup(f"{len(errors)} of {len(self.all)} runs failed", errors)

    def stop(self) -> None:
        """Drain all runs; those that have not begun do not begin. Does not wait."""
        for run in self.all:
            run.stop()

    def cancel(self) -> None:
        """Discard what is on its way in all runs. Does not wait."""
        for run in self.all:
            run.cancel()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Cancel all runs, and wait for their threads until `timeout_s` have passed; see `Run.close`."""
        self.cancel()
        deadline_s = time.monotonic() + timeout_s
        for run in self.all:
            run.close(max(deadline_s - time.monotonic(), 0.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self) -> Run | None:
        """Wait until a run has a result or an end to tell, and return it; None when all have ended."""
        with self._changed:
            while True:
                self._begin()
                if not self._active:
                    return None
                if run := self._next_ready():
                    # The next one to be asked of its kind is another.
                    self._active.remove(run)
                    self._active.append(run)
                    return run
                self._changed.wait()

    def _begin(self) -> None:
        """Start the live runs that wait, and as many of files as are read at once."""
        for run in list(self._waiting):
            files = sum(not each.live for each in self._active)
            if run.live or files < self._at_once:
                self._waiting.remove(run)
                self._active.append(run)
                run.start()

    def _next_ready(self) -> Run | None:
        live = next((run for run in self._active if run.live and run.ready()), None)
        turn = next((run for run in self._active if not run.live), None)
        return live or (turn if turn and turn.ready() else None)
