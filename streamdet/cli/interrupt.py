"""Ctrl-C and SIGTERM: the first drains runs, so that every file is closed whole; the second cancels them."""

from __future__ import annotations

import signal
import sys
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
