"""Tracks as the MOTChallenge takes them."""

from __future__ import annotations

from streamdet.result import Result
from streamdet.sinks.sink import TrackSink


class MotSink(TrackSink):
    """MOTChallenge rows: frame (from 1), id, left, top, width, height in px, score, -1, -1, -1."""

    def _rows(self, result: Result) -> str:
        tracks, number = result.tracks, result.frame.index + 1
        columns = tracks.ids.tolist(), tracks.boxes.tolist(), tracks.scores.tolist()
        return "".join(
            f"{number},{track_id},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{score:.4f},-1,-1,-1\n"
            for track_id, (x1, y1, x2, y2), score in zip(*columns, strict=True)
        )
