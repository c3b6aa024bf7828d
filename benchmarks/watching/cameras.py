"""Cameras in a process of their own, and what they have sent."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from benchmarks.tracking.process import ROOT
from benchmarks.watching.clips import Clip


class Cameras:
    """Cameras that show `clip`, one for each of `plays`, while the block runs.

    `urls` are their addresses; `sent` holds for each the time by ``time.monotonic()`` of every picture by its number;
    `faults` when each failed, and `wells` when the cause of that had gone, by camera. `share` is how much of one core
    the process took, known after the block. `smaller` is for a camera that changes its size.
    """

    def __init__(self, clip: Clip, plays: Sequence[str], smaller: Clip | None = None) -> None:
        paths = [str(each.made()) for each in (clip, smaller or clip)]
        self._command = [sys.executable, "-m", "benchmarks.watching.server", str(clip.rate_hz), *paths, *plays]
        self.sent: list[dict[int, float]] = [{} for _ in plays]
        self.faults: dict[int, float] = {}
        self.wells: dict[int, float] = {}
        self.urls: list[str] = []
        self.share = 0.0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self._process.stdout is not None
        self.urls = json.loads(self._process.stdout.readline())
        self._noting = threading.Thread(target=self._note, daemon=True)
        self._noting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._noting.join()
        self._process.wait()

    def _note(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            match line.split():
                case ["cpu", cpu_s, wall_s]:
                    self.share = float(cpu_s) / float(wall_s)
                case [camera, "fault", time_s]:
                    self.faults[int(camera)] = float(time_s)
                case [camera, "well", time_s]:
                    self.wells[int(camera)] = float(time_s)
                case [camera, number, time_s]:
                    self.sent[int(camera)][int(number)] = float(time_s)
