"""What is said at the end of a run: what was found, how fast, where it is, and the time per stage if asked for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.table import Table

from streamdet.cli.console import stderr, table, warn
from streamdet.pipeline.line import WAIT
from streamdet.pipeline.run import Run, RunStats
from streamdet.scheduler.threads import StageTime


@dataclass(slots=True)
class RunReport:
    """What is `written` by one run, its wall and CPU time in s, its stages, and the exit code for the process.

    If it `is_paced`, the detector ran in some of the frames only; if it `is_live`, damaged frames were left out.
    """

    written: Sequence[str] = ()
    is_paced: bool = False
    is_live: bool = False
    wall_s: float = 0.0
    cpu_s: float = 0.0
    stats: RunStats = field(default_factory=RunStats)
    stages: Sequence[StageTime] = ()
    exit_code: int = 0

    @contextmanager
    def measuring(self, run: Run) -> Iterator[StageTime]:
        """Measure the `with` block in which `run` is iterated; yields the stage that times the writing of results."""
        writing = StageTime("write")
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        try:
            yield writing
        finally:
            self.wall_s, self.cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
            self.stats = run.stats
            self.stages = (*self.stats.stages, writing)

    @property
    def frames(self) -> int:
        """The number of frames that the last stage has processed."""
        return self.stages[-1].items if self.stages else 0

    def print(self, found: str, warnings: Sequence[str], *, verbose: bool) -> None:
        """Print the warnings, and unless there was no frame what was `found`, how fast, and the files.

        If `verbose`, also the time per stage, and which one limits the run.
        """
        for message in warnings:
            warn(message)
        if self.stats.dropped:
            warn(f"{self.stats.dropped} frames were dropped to keep up with the live source")
        if self.is_live and self.stats.damaged:
            warn(f"left out of the live source: {counted(self.stats.damaged, 'frame')} damaged by lost or wrong data")
        if not self.frames:
            return
        detected = [f"detected in {self.stats.detected} of them"] if self.is_paced else []
        say(found)
        say(", ".join([pace(counted(self.frames, "frame"), self.frames, self.wall_s), *detected, *self.written]))
        if verbose:
            stderr.print(self._table())
            slowest = max(self.stages, key=lambda stage: stage.busy_s).name
            say("bottleneck: none, the run waits for the camera" if slowest == WAIT else f"bottleneck: {slowest}")

    def _table(self) -> Table:
        rows = table("stage", "frames", "ms/frame", "busy", left=("stage",))
        for stage in self.stages:
            rows.add_row(stage.name, str(stage.items), f"{stage.per_item_ms:.2f}", f"{stage.busy_s / self.wall_s:.0%}")
        return rows


def say(line: str) -> None:
    """Print one plain line about a run, which is not broken at the width of the terminal."""
    stderr.print(line, markup=False, soft_wrap=True)


def pace(what: str, frames: int, elapsed_s: float) -> str:
    """Return in which time `what` was done, and the rate in frames per second: "795 frames in 12.1 s (66 fps)"."""
    rate_hz = frames / max(elapsed_s, 1e-9)
    return f"{what} in {elapsed_s:.1f} s ({rate_hz:.{0 if rate_hz >= 10 else 1}f} fps)"


def counted(count: int, noun: str) -> str:
    """Return "1 frame" or "2 frames"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def found(classes: Iterable[str]) -> str:
    """Return how many tracks there are of each class, given the class of every track: "33 tracks: 31 person, 2 car"."""
    counts = Counter(classes)
    parts = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    return ": ".join(filter(None, [counted(counts.total(), "track"), parts]))
