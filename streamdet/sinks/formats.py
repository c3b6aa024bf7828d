"""The formats of track files, chosen by the ending of their names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from streamdet.errors import InputError
from streamdet.inference.session import TaskName
from streamdet.output_file import STANDARD_OUTPUT
from streamdet.sinks.coco import CocoSink
from streamdet.sinks.csv import CsvSink
from streamdet.sinks.cvat import CvatSink
from streamdet.sinks.header import TracksHeader
from streamdet.sinks.jsonl import JsonlSink
from streamdet.sinks.mot import MotClassSink, MotSink
from streamdet.sinks.mots import MotsSink
from streamdet.sinks.parquet import ParquetSink
from streamdet.sinks.sink import TrackSink

# Ending of the file -> the class that writes it.
TRACK_SINKS: dict[str, type[TrackSink]] = {
    ".txt": MotSink,
    ".jsonl": JsonlSink,
    ".csv": CsvSink,
    ".json": CocoSink,
    ".parquet": ParquetSink,
    ".xml": CvatSink,
    ".mots": MotsSink,
}


def require_task(paths: Iterable[str | Path], task: TaskName) -> None:
    """Raise InputError for a path whose format does not take the results of a model for `task`."""
    for path in paths:
        sink = TRACK_SINKS.get(Path(path).suffix.lower())
        if sink is not None and sink.task not in (None, task):
            raise InputError(f"{path}: expected a model for the task {sink.task}, found one for {task}")


def open_track_sink(path: Path, header: TracksHeader | None = None, *, mot_classes: bool = False) -> TrackSink:
    """Open the sink for the ending of `path`, MOT text for ``-``; `header` is what is known of the run.

    With `mot_classes`, MOT text names classes, see `MotClassSink`. Raises InputError if the ending is unknown, or
    `path` cannot be written, and MissingExtraError for a format whose package is not installed.
    """
    sink = MotSink if path == STANDARD_OUTPUT else TRACK_SINKS.get(path.suffix.lower())
    if sink is None:
        raise InputError(
            f"tracks are written as {', '.join(TRACK_SINKS)}, not {path.suffix or 'without an ending'}: {path}"
        )
    if sink is MotSink and mot_classes:
        return MotClassSink(path, header)
    return sink(path, header)
