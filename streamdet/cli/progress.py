"""Progress of runs on the terminal: a bar for each while it goes on, and the time per stage when it has ended."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from streamdet.cli.console import stderr, warn
from streamdet.options import SourceOptions
from streamdet.pipeline.run import Run, RunStats
from streamdet.scheduler.threads import StageTime
from streamdet.types import VideoInfo


class _FpsColumn(ProgressColumn):
    """Frames per second over the last seconds."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("    fps" if speed is None else f"{speed:5.1f} fps")


class _Bars(Progress):
    """A bar for each of `runs`, which is updated from the state of the run whenever the bars are drawn."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), _FpsColumn())
        remaining = TimeRemainingColumn(elapsed_when_finished=True)
        self.runs: dict[TaskID, Run] = {}
        super().__init__(*columns, remaining, console=stderr, refresh_per_second=4, disable=not stderr.is_terminal)

    def get_renderables(self) -> Iterable[RenderableType]:
        for task, run in list(self.runs.items()):
            description, done = _state(run)
            # The total of a file that lists no frames is estimated: at the end it is what was there.
            self.update(task, description=description, completed=done, total=done if run.finished else None)
        return super().get_renderables()


class RunProgress:
    """Shows bars of runs with these `options`, nothing if stderr is no terminal."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._bars = _Bars()

    def add(self, run: Run, name: str = "") -> None:
        """Add a bar for `run`, which is open already, with the description `name` until the run begins."""
        task = self._bars.add_task(name, total=_total(run.source.info, self._options))
        self._bars.runs[task] = run

    def remove(self, run: Run) -> None:
        """Remove the bar of `run`."""
        for task in [task for task, each in self._bars.runs.items() if each is run]:
            del self._bars.runs[task]
            self._bars.remove_task(task)

    def __enter__(self) -> RunProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


def _total(info: VideoInfo, options: SourceOptions) -> int | None:
    """Return the number of frames that will be tracked, None if it is not known."""
    every = 1 if options.every == "auto" else options.every
    total = None if info.frame_count is None else -(-info.frame_count // every)
    if options.max_frames is None:
        return total
    return options.max_frames if total is None else min(total, options.max_frames)


def _state(run: Run) -> tuple[str, int]:
    """Return the current activity of a run, in words, and the number of frames that are done with it."""
    stats = run.stats
    if run.live:
        age_ms = 1e3 * stats.ages_s[-1] if stats.ages_s else 0
        return f"live  {run.source_id}  age {age_ms:.0f} ms  dropped {stats.dropped}", stats.results
    done = {stage.name: stage.items for stage in stats.stages}
    if run.options.refine and not stats.results:
        return f"tracking  {run.source_id}", done.get("track", 0)
    return f"{'writing' if run.options.refine else 'tracking'}  {run.source_id}", stats.results


@dataclass(slots=True)
class RunReport:
    """The written `paths` of one run, its wall and CPU time in s, its stages, and the exit code for the process.

    If it `is_paced`, the detector ran in some of the frames only.
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

    def print(self, warnings: Sequence[str]) -> None:
        """Print the warnings, and unless there was no frame the time per stage, the bottleneck and the files."""
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
                stderr.print(f"wrote {path}", markup=False, soft_wrap=True)

    def _table(self) -> Table:
        rows = Table("stage", box=None, pad_edge=False, header_style="bold")
        for heading in ("frames", "ms/frame", "busy"):
            rows.add_column(heading, justify="right")
        for stage in self.stages:
            rows.add_row(stage.name, str(stage.items), f"{stage.per_item_ms:.2f}", f"{stage.busy_s / self.wall_s:.0%}")
        return rows
