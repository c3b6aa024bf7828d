"""Ctrl-C and SIGTERM: the first drains the pipeline, so that every file is closed whole; the second cancels it."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from streamdet.refinement import Refinement
from streamdet.stages import Stages
from streamdet.video.source import Source


class Interrupt:
    """While entered, turns SIGINT and SIGTERM into an orderly end of the run."""

    def __init__(self, source: Source, stages: Stages, refinement: Refinement | None = None) -> None:
        self._source, self._stages, self._refinement = source, stages, refinement
        self._received: int | None = None

    @property
    def exit_code(self) -> int:
        """128 + the signal, as shells expect; 0 for a live source, whose only end is to be interrupted."""
        return 0 if self._received is None or self._source.info.live else 128 + self._received

    def stop(self) -> None:
        """Take no more frames; what is in flight still comes out."""
        self._source.stop()
        self._stages.stop()
        if self._refinement:
            self._refinement.stop()

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
