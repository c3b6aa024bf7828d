"""Tracks as JSON lines."""

from __future__ import annotations

import json

from streamdet.result import Result
from streamdet.sinks.added import added_values, image_values
from streamdet.sinks.sink import COLUMNS, TrackSink, rows


class JsonlSink(TrackSink):
    """The header of the run, then an object per frame: its index (from 0), time in s, tracks, amendments if any.

    Boxes are x1, y1, x2, y2 in px. `added_values` and `image_values` follow where the model has them.
    """

    def _head(self) -> str:
        return self._header.to_json() + "\n"

    def _rows(self, result: Result) -> str:
        own = (dict(zip(COLUMNS, row, strict=True)) for row in rows(result))
        tracks = [values | added for values, added in zip(own, added_values(result), strict=True)]
        line: dict[str, object] = {"frame": result.frame.index, "time_s": float(result.frame.time), "tracks": tracks}
        line |= image_values(result)
        if result.tracks.amendments:
            amendments = (amendment._asdict().items() for amendment in result.tracks.amendments)
            line["amendments"] = [{name: value for name, value in items if value is not None} for items in amendments]
        return json.dumps(line, ensure_ascii=False) + "\n"
