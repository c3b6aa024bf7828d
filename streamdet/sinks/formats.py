"""The formats of track files, chosen by the ending of their names."""

from __future__ import annotations

from pathlib import Path

from streamdet.errors import InputError
from streamdet.output_file import STANDARD_OUTPUT
from streamdet.sinks.csv import CsvSink
from streamdet.sinks.header import TracksHeader
from streamdet.sinks.jsonl import JsonlSink
from streamdet.sinks.mot import MotSink
from streamdet.sinks.sink import TrackSink

# Ending of the file -> the class that writes it.
TRACK_SINKS: dict[str, type[TrackSink]] = {".txt": MotSink, ".jsonl": JsonlSink, ".csv": CsvSink}


def open_track_sink(path: Path, header: TracksHeader | None = None) -> TrackSink:
    """Open the sink for the ending of `path`, MOT text for ``-``; `header` is what is known of the run.

    Raises InputError if the ending is unknown, or `path` cannot be written.
    """
    sink = MotSink if path == STANDARD_OUTPUT else TRACK_SINKS.get(path.suffix.lower())
    if sink is None:
        raise InputError(
            f"tracks are written as {', '.join(TRACK_SINKS)}, not {path.suffix or 'without an ending'}: {path}"
        )
    return sink(path, header)
