"""Ctrl-C, SIGTERM and a lost terminal: the first ends a run or a training in order, so that all files are whole."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import FrameType
from typing import Self

OUT_OF_TIME = 75  # exit code of a training that reached its time limit: a further call continues it
# SIGHUP, which Windows lacks, is sent when the terminal is closed.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

Handler = Callable[[int, FrameType | None], object]


def set_handler(number: int, handler: Handler | signal.Handlers) -> None:
    """Set the handler of a signal, unless it is ignored, as Ctrl-C is in a background job and SIGHUP after nohup."""
    if not _is_ignored(number):
        signal.signal(number, handler)


def end_at_once() -> None:
    """Let Ctrl-C end the process at once, even inside a native call, as is right while nothing is written."""
    set_handler(signal.SIGINT, signal.SIG_DFL)


def _is_ignored(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


class _SignalHandler(ABC):
    """Handles SIGINT, SIGTERM and SIGHUP inside a `with` block, except those that are ignored."""

    def __init__(self) -> None:
        self._received: int | None = None

    @abstractmethod
    def _handle(self, number: int, frame: FrameType | None) -> None: ...

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS if not _is_ignored(number)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def _nothing() -> None: ...


class Interrupt(_SignalHandler):
    """Calls `stop` at the first signal and `cancel` at later ones; the end of a `live` run is no failure.

    `stop` asks for the end and lets what is in flight come out, `cancel` discards that. Neither waits.
    """

    def __init__(
        self, stop: Callable[[], object], cancel: Callable[[], object] = _nothing, *, live: bool = False
    ) -> None:
        super().__init__()
        self._stop, self._cancel, self._live = stop, cancel, live

    def received(self) -> bool:
        """Return whether a signal has come."""
        return self._received is not None

    @property
    def exit_code(self) -> int:
        """128 + the signal, as shells expect; 0 without a signal, and for live sources, which have no other end."""
        return 0 if self._received is None or self._live else 128 + self._received

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received is None:
            self._received = number
            self._stop()
        else:
            self._cancel()


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
