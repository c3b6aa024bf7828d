"""What a run did: its files, its warnings, and a table of the time per stage that names the bottleneck."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from streamdet.cli.console import stderr, warn
from streamdet.pace import RealTime
from streamdet.stages import Stages, StageTime


@dataclass(slots=True)
class RunReport:
    """Wall and CPU time in s of one run over all its stages, and how the process should end.

    With a `pace` not every frame was detected in.
    """

    paths: Sequence[Path]
    pace: RealTime | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    dropped: int = 0
    stages: Sequence[StageTime] = field(default_factory=tuple)
    exit_code: int = 0

    @contextmanager
    def measuring(self, stages: Stages) -> Iterator[None]:
        """Account what happens inside the block."""
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.wall_s, self.cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
            self.dropped, self.stages = stages.dropped, stages.times

    @property
    def frames(self) -> int:
        """Frames that went through the last stage."""
        return self.stages[-1].items if self.stages else 0

    def print(self, warnings: Sequence[str]) -> None:
        """Print the warnings, and for a run that got as far as a frame its table and files."""
        for message in warnings:
            warn(message)
        if self.dropped:
            warn(f"{self.dropped} frames were dropped to keep up with the live source")
        if not self.frames:
            return
        stderr.print(self._table())
        slowest = max(self.stages, key=lambda stage: stage.busy_s)
        detected = f"detected in {self.pace.detected} of them; " if self.pace else ""
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
