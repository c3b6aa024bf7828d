"""Tracks as a table in CSV (RFC 4180)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from streamdet.result import Result
from streamdet.sinks.sink import COLUMNS, TrackSink, rows


class CsvSink(TrackSink):
    """A line of names, and one row per track and frame: frame (from 0), time in s, then the values of a track."""

    def _head(self) -> str:
        return _csv([("frame", "time_s", "id", "x1", "y1", "x2", "y2", *COLUMNS[2:])])

    def _rows(self, result: Result) -> str:
        index, time_s = result.frame.index, round(float(result.frame.time), 6)
        return _csv((index, time_s, track_id, *box, *rest) for track_id, box, *rest in rows(result))


def _csv(table: Iterable[Iterable[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(table)
    return text.getvalue()
