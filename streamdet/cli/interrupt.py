"""What Ctrl-C and SIGTERM mean: the first drains runs or ends a training whole, the second cancels."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable
from types import FrameType
from typing import Protocol


class Stoppable(Protocol):
    """A run, or a source."""

    def stop(self) -> object:
        """End soon, and do not wait for it."""


class Interrupt:
    """While entered, turns SIGINT and SIGTERM into an orderly end of `runs`; it is no failure if `live`."""

    def __init__(self, runs: Iterable[Stoppable], *, live: bool = False) -> None:
        self._runs, self._live = runs, live
        self._received: int | None = None

    @property
    def exit_code(self) -> int:
        """128 + the signal, as shells expect; 0 for live sources, whose only end is to be interrupted."""
        return 0 if self._received is None or self._live else 128 + self._received

    def stop(self) -> None:
        """Take no more frames; what is in flight still comes out."""
        for run in self._runs:
            run.stop()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None:
            sys.exit(128 + number)
        self._received = number
        self.stop()

    def __enter__(self) -> Interrupt:
        self._previous = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


OUT_OF_TIME = 75  # exit code of a training that its time limit ended: call again to go on


class Stop:
    """Says, while entered, whether to stop: after a signal, or when `minutes` are up; None sets no limit."""

    def __init__(self, minutes: float | None) -> None:
        self._received: int | None = None
        self._ends_at = None if minutes is None else time.monotonic() + 60 * minutes

    def __call__(self) -> bool:
        """Return whether to stop now."""
        return self._received is not None or (self._ends_at is not None and time.monotonic() >= self._ends_at)

    @property
    def exit_code(self) -> int:
        """What a process that stopped for this exits with: 128 + the signal, or 75 when the time was up."""
        return OUT_OF_TIME if self._received is None else 128 + self._received

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        # A second signal ends the process at once: the state on disk is whole at any moment.
        signal.signal(number, signal.SIG_DFL)

    def __enter__(self) -> Stop:
        self._previous = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
