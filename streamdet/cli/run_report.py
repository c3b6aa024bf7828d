"""What a run did: its files, its warnings, and a table of the time per stage that names the bottleneck."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from streamdet.cli.console import stderr, warn
from streamdet.pipeline.run import Run, RunStats
from streamdet.scheduler.threads import StageTime


@dataclass(slots=True)
class RunReport:
    """Wall and CPU time in s of one run over all its stages, and how the process should end.

    If it `is_paced`, not every frame was detected in.
    """

    paths: Sequence[Path]
    is_paced: bool = False
    wall_s: float = 0.0
    cpu_s: float = 0.0
    stats: RunStats = field(default_factory=RunStats)
    stages: Sequence[StageTime] = ()
    exit_code: int = 0

    @contextmanager
    def measuring(self, run: Run) -> Iterator[StageTime]:
        """Account what happens inside the block; yields the stage for what is done there with the results."""
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
        """Frames that went through the last stage."""
        return self.stages[-1].items if self.stages else 0

    def print(self, warnings: Sequence[str]) -> None:
        """Print the warnings, and for a run that got as far as a frame its table and files."""
        for message in warnings:
            warn(message)
        if self.stats.dropped:
            warn(f"{self.stats.dropped} frames were dropped to keep up with the live source")
        if not self.frames:
            return
        stderr.print(self._table())
        slowest = max(self.stages, key=lambda stage: stage.busy_s)
        detected = f"detected in {self.stats.detected} of them; " if self.is_paced else ""
        stderr.print(
            f"{self.frames} frames in {self.wall_s:.1f} s, {self.frames / self.wall_s:.1f} fps; "
            f"{detected}bottleneck: {slowest.name}"
        )
        for path in self.paths:
            if path.exists():
                stderr.print("wrote ", path, sep="")

    def _table(self) -> Table:
        table = Table("stage", box=None, pad_edge=False, header_style="bold")
        for heading in ("frames", "ms/frame", "busy"):
            table.add_column(heading, justify="right")
        for stage in self.stages:
            table.add_row(stage.name, str(stage.items), f"{stage.per_item_ms:.2f}", f"{stage.busy_s / self.wall_s:.0%}")
        return table
