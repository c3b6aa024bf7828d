"""What a user sees while a network learns."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streamdet.cli.console import stderr
from streamdet.train.loop import BatchReport


class TrainProgress:
    """A bar for each of `epochs` on a terminal, a line at the end of each elsewhere; nothing unless `speaks`."""

    def __init__(self, epochs: int, *, speaks: bool = True) -> None:
        self._epochs, self._speaks = epochs, speaks
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        shown = stderr.is_terminal and speaks
        self._progress = Progress(*columns, console=stderr, refresh_per_second=2, disable=not shown)
        self._task = self._progress.add_task("training")

    def update(self, report: BatchReport) -> None:
        """Account one batch."""
        box, cls, dfl = report.parts
        line = f"epoch {report.epoch + 1}/{self._epochs}  box {box:.3f}  cls {cls:.3f}  dfl {dfl:.3f}"
        self._progress.update(self._task, completed=report.batch, total=report.batches, description=line)
        if self._speaks and not stderr.is_terminal and report.batch == report.batches:
            stderr.print(line, markup=False)

    def __enter__(self) -> TrainProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
