"""Ctrl-C and SIGTERM: the first ends a run or a training in order, so that all files are whole; the second cancels."""

from __future__ import annotations

import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import FrameType
from typing import Protocol, Self

OUT_OF_TIME = 75  # exit code of a training that reached its time limit: a further call continues it


class Stoppable(Protocol):
    """A run, or a source."""

    def stop(self) -> object:
        """Request the end, and return without waiting for it."""


class _SignalHandler(ABC):
    """Handles SIGINT and SIGTERM inside a `with` block."""

    def __init__(self) -> None:
        self._received: int | None = None

    @abstractmethod
    def _handle(self, number: int, frame: FrameType | None) -> None: ...

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


class Interrupt(_SignalHandler):
    """Stops `runs` at the first signal, and exits at the second one; the end of a `live` run is no failure."""

    def __init__(self, runs: Iterable[Stoppable], *, live: bool = False) -> None:
        super().__init__()
        self._runs, self._live = runs, live

    @property
    def exit_code(self) -> int:
        """128 + the signal, as shells expect; 0 without a signal, and for live sources, which have no other end."""
        return 0 if self._received is None or self._live else 128 + self._received

    def stop(self) -> None:
        """Take no more frames; results of the frames that are being processed still come out."""
        for run in self._runs:
            run.stop()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None:
            sys.exit(128 + number)
        self._received = number
        self.stop()


class Stop(_SignalHandler):
    """A function that returns whether a training should stop: after a signal, or `minutes` after it was created.

    None sets no time limit.
    """

    def __init__(self, minutes: float | None) -> None:
        super().__init__()
        self._ends_at = None if minutes is None else time.monotonic() + 60 * minutes

    def __call__(self) -> bool:
        """Return whether to stop now."""
        return self._received is not None or (self._ends_at is not None and time.monotonic() >= self._ends_at)

    @property
    def exit_code(self) -> int:
        """The exit code of a training that was stopped: 128 + the signal, or `OUT_OF_TIME`."""
        return OUT_OF_TIME if self._received is None else 128 + self._received

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        # A second signal ends the process at once: the state on disk is whole at any moment.
        signal.signal(number, signal.SIG_DFL)
