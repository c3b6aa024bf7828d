"""What a user sees while a run goes on: a bar for files, a line for cameras."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from streamdet.cli.console import stderr
from streamdet.result import Result
from streamdet.types import VideoInfo


class _FpsColumn(ProgressColumn):
    """Frames per second over the last seconds."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("    fps" if speed is None else f"{speed:5.1f} fps")


class RunProgress:
    """Counts results on the terminal; silent where stderr is none."""

    def __init__(self, info: VideoInfo, max_frames: int | None, stride: int) -> None:
        total = None if info.frame_count is None else -(-info.frame_count // stride)
        if max_frames is not None:
            total = max_frames if total is None else min(total, max_frames)
        self._live = info.live
        self._description = "live" if self._live else "tracking"
        columns: list[ProgressColumn] = [TextColumn("{task.description}")]
        if not self._live:
            columns += [BarColumn(), MofNCompleteColumn()]
        columns.append(_FpsColumn())
        if total is not None:
            columns.append(TimeRemainingColumn(elapsed_when_finished=True))
        self._progress = Progress(*columns, console=stderr, refresh_per_second=4, disable=not stderr.is_terminal)
        self._task = self._progress.add_task(self._description, total=total)

    def update(self, result: Result, dropped: int) -> None:
        """Account one result."""
        description = self._description
        if self._live:
            age_ms = 1e3 * (time.monotonic() - result.frame.received_at)
            description = (
                f"live  frame {result.frame.index}  tracks {len(result.tracks)}  age {age_ms:.0f} ms  dropped {dropped}"
            )
        self._progress.update(self._task, advance=1, description=description)

    def first_pass(self, results: Iterable[Result]) -> Iterator[Result]:
        """Yield `results` that another pass follows, accounted as they come."""
        for result in results:
            self.update(result, 0)
            yield result
        self._progress.reset(self._task)
        self._description = "writing"

    def __enter__(self) -> RunProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
