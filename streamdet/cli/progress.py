"""What a user sees while runs go on: a bar for each file, a line for each camera."""

from __future__ import annotations

from collections.abc import Iterable

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
from rich.text import Text

from streamdet.cli.console import stderr
from streamdet.options import SourceOptions
from streamdet.pipeline.run import Run
from streamdet.types import VideoInfo


class _FpsColumn(ProgressColumn):
    """Frames per second over the last seconds."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("    fps" if speed is None else f"{speed:5.1f} fps")


class _Bars(Progress):
    """Bars that ask the runs how far they are whenever they are drawn, so that nothing has to tell them."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _FpsColumn())
        remaining = TimeRemainingColumn(elapsed_when_finished=True)
        self.runs: dict[TaskID, Run] = {}
        super().__init__(*columns, remaining, console=stderr, refresh_per_second=4, disable=not stderr.is_terminal)

    def get_renderables(self) -> Iterable[RenderableType]:
        for task, run in list(self.runs.items()):
            description, done = _state(run)
            self.update(task, description=description, completed=done)
        return super().get_renderables()


class RunProgress:
    """Shows on the terminal how far runs with these `options` are; silent where stderr is none."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._bars = _Bars()

    def add(self, run: Run, name: str = "") -> None:
        """Show `run`, which has been opened, under a `name`."""
        task = self._bars.add_task(name, total=_total(run.source.info, self._options))
        self._bars.runs[task] = run

    def remove(self, run: Run) -> None:
        """Show `run` no more."""
        for task in [task for task, each in self._bars.runs.items() if each is run]:
            del self._bars.runs[task]
            self._bars.remove_task(task)

    def __enter__(self) -> RunProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


def _total(info: VideoInfo, options: SourceOptions) -> int | None:
    every = 1 if options.every == "auto" else options.every
    total = None if info.frame_count is None else -(-info.frame_count // every)
    if options.max_frames is None:
        return total
    return options.max_frames if total is None else min(total, options.max_frames)


def _state(run: Run) -> tuple[str, int]:
    """Return what a run is doing, in words, and how many frames of that are done."""
    stats = run.stats
    if run.live:
        age_ms = 1e3 * stats.ages_s[-1] if stats.ages_s else 0
        return f"live  {run.source_id}  age {age_ms:.0f} ms  dropped {stats.dropped}", stats.results
    done = {stage.name: stage.items for stage in stats.stages}
    if run.options.refine and not stats.results:
        return f"tracking  {run.source_id}", done.get("track", 0)
    return f"{'writing' if run.options.refine else 'tracking'}  {run.source_id}", stats.results
