"""What goes on, shown on the terminal: a bar for each run, and the name of what takes long before it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from rich.console import RenderableType
from rich.markup import escape
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
from streamdet.cli.report import counted, found, say
from streamdet.files import EMBEDDED_MODEL
from streamdet.options import ModelOptions, SourceOptions
from streamdet.pipeline.camera import Camera
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.result import Result
from streamdet.types import VideoInfo


class _FpsColumn(ProgressColumn):
    """Frames per second over the last seconds."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("    fps" if speed is None else f"{speed:5.1f} fps")


class _Bars(Progress):
    """A bar for each of `runs`, which is updated from the state of the run whenever the bars are drawn."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(None), MofNCompleteColumn(), _FpsColumn())
        remaining = TimeRemainingColumn(compact=True, elapsed_when_finished=True)
        self.runs: dict[TaskID, Run] = {}
        self.tracks: dict[Run, int] = {}
        super().__init__(
            *(*columns, remaining, TextColumn("{task.fields[tracks]}")),
            console=stderr,
            refresh_per_second=4,
            disable=not stderr.is_terminal,
            expand=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        for task, run in list(self.runs.items()):
            description, done = _state(run)
            tracks = counted(self.tracks[run], "track") if run in self.tracks else ""
            # The total of a file that lists no frames is estimated: at the end it is what was there.
            total = done if run.finished else None
            self.update(task, description=description, completed=done, total=total, tracks=tracks)
        return super().get_renderables()


class RunProgress:
    """Shows bars of runs with these `options`, nothing if stderr is no terminal."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._bars = _Bars()

    def add(self, run: Run) -> None:
        """Add a bar for `run`, which is open already."""
        task = self._bars.add_task("", total=_total(run.source.info, self._options), tracks="")
        self._bars.runs[task] = run

    def count(self, run: Run, tracks: int) -> None:
        """Show the number of tracks in the newest result of `run`."""
        self._bars.tracks[run] = tracks

    def remove(self, run: Run) -> None:
        """Remove the bar of `run`."""
        self._bars.tracks.pop(run, None)
        for task in [task for task, each in self._bars.runs.items() if each is run]:
            del self._bars.runs[task]
            self._bars.remove_task(task)

    def __enter__(self) -> RunProgress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


class Sightings:
    """Says once a second what the live `run` sees, unless stderr is a terminal, which has a bar; `now_s` is the clock.

    The tracks are those of the latest result, and the age that from its arrival.
    """

    def __init__(self, run: Run, now_s: Callable[[], float] = time.monotonic) -> None:
        self._run, self._now_s = run, now_s
        self._due_s = now_s()

    def add(self, result: Result) -> None:
        """Say what is in the result that was read last, if it is time."""
        now_s = self._now_s()
        if stderr.is_terminal or now_s < self._due_s:
            return
        self._due_s = now_s + 1
        classes = found(result.class_names[class_id] for class_id in result.tracks.class_ids)
        say(f"{datetime.now():%H:%M:%S} {classes}  age {1e3 * self._run.stats.ages_s[-1]:.0f} ms")


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Name on a terminal, as long as the `with` block lasts, `what` takes long, or what the library logs meanwhile."""
    if not stderr.is_terminal:
        yield
        return
    library = logging.getLogger("streamdet")
    with stderr.status(escape(what)) as status:
        handler, level = _Shown(status.update), library.level
        library.addHandler(handler)
        library.setLevel(logging.INFO)
        try:
            yield
        finally:
            library.setLevel(level)
            library.removeHandler(handler)


def load_pipeline(options: ModelOptions) -> Pipeline:
    """Return the pipeline of `options`, and name on a terminal what is loaded meanwhile."""
    with waiting(f"loading {Path(options.model or EMBEDDED_MODEL).name}"):
        return Pipeline.from_options(options)


class _Shown(logging.Handler):
    """Passes the message of each record to `show`."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__()
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        """Show the message of `record`."""
        self._show(escape(record.getMessage()))


def _total(info: VideoInfo, options: SourceOptions) -> int | None:
    """Return the number of frames that will be tracked, None if it is not known."""
    every = 1 if options.every == "auto" else options.every
    total = None if info.frame_count is None else -(-info.frame_count // every)
    if options.max_frames is None:
        return total
    return options.max_frames if total is None else min(total, options.max_frames)


def _state(run: Run) -> tuple[str, int]:
    """Return the current activity of a run, in words, and the number of frames that are done with it."""
    stats, name = run.stats, Path(run.source_id).name or run.source_id
    if not stats.detected:
        # The first image may wait until a backend has compiled the model for its size.
        return f"preparing the model  {name}", 0
    if isinstance(run.source, Camera) and run.source.outage:
        return f"waiting for the camera  {name}", stats.results
    if run.live:
        age_ms = 1e3 * stats.ages_s[-1] if stats.ages_s else 0
        return f"live  {name}  age {age_ms:.0f} ms  dropped {stats.dropped}", stats.results
    done = {stage.name: stage.items for stage in stats.stages}
    if run.options.refine and not stats.results:
        return f"tracking  {name}", done.get("track", 0)
    return f"{'writing' if run.options.refine else 'tracking'}  {name}", stats.results
