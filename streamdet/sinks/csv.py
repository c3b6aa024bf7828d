"""Tracks as a table in CSV (RFC 4180)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from streamdet.result import Result
from streamdet.rows import added_columns
from streamdet.sinks.sink import COLUMNS, TrackSink, rows
from streamdet.types import Float32Array


class CsvSink(TrackSink):
    """A line of names, and one row per track and frame: frame (from 0), time in s, then the values of a track.

    The first result tells which columns the model's task adds at the end, see `added_columns`.
    """

    _added: tuple[str, ...] | None = None

    def _head(self) -> str:
        return _csv([("frame", "time_s", "id", "x1", "y1", "x2", "y2", *COLUMNS[2:], *(self._added or ()))])

    def _rows(self, result: Result) -> str:
        index, time_s = result.frame.index, round(float(result.frame.time), 6)
        columns = added_columns(result.tracks.keypoints, result.tracks.rotated)
        if self._added is None:
            self._added = tuple(columns)
        added = zip(*(_rounded(name, columns[name]) for name in self._added), strict=True)
        own = ((index, time_s, track_id, *box, *rest) for track_id, box, *rest in rows(result))
        return _csv(own if not self._added else ((*row, *more) for row, more in zip(own, added, strict=True)))


def _rounded(name: str, values: Float32Array) -> list[float]:
    """Return places in px with 2 decimals, angles and visibilities with 4."""
    digits = 4 if name == "angle" or name.endswith("_v") else 2
    return [round(value, digits) for value in values.tolist()]


def _csv(table: Iterable[Iterable[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(table)
    return text.getvalue()
