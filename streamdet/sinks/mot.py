"""Tracks as the MOTChallenge takes them."""

from __future__ import annotations

from streamdet.result import Result
from streamdet.sinks.sink import TrackSink

# Numbers of MOT16 and MOT17 (arXiv 1603.00831, table 2) by the names that models give to these classes.
MOT_CLASSES = {
    "pedestrian": 1,
    "person": 1,
    "person on vehicle": 2,
    "car": 3,
    "bicycle": 4,
    "motorbike": 5,
    "motorcycle": 5,
    "non motorized vehicle": 6,
    "static person": 7,
}
_UNKNOWN = -1


class MotSink(TrackSink):
    """MOTChallenge rows: frame (from 1), id, left, top, width, height in px, score, -1, -1, -1."""

    def _rows(self, result: Result) -> str:
        tracks, number = result.tracks, result.frame.index + 1
        columns = tracks.ids.tolist(), tracks.boxes.tolist(), tracks.scores.tolist(), self._numbers(result)
        return "".join(
            f"{number},{track_id},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{score:.4f},{class_number},-1,-1\n"
            for track_id, (x1, y1, x2, y2), score, class_number in zip(*columns, strict=True)
        )

    def _numbers(self, result: Result) -> list[int]:
        """Return the eighth column: unknown, since evaluations take any other number but 1 for a mistake."""
        return [_UNKNOWN] * len(result.tracks)


class MotClassSink(MotSink):
    """The same rows, in which the eighth column is the number of the class in MOT17, -1 for one without a number."""

    def _numbers(self, result: Result) -> list[int]:
        names = (result.class_names[class_id] for class_id in result.tracks.class_ids.tolist())
        return [MOT_CLASSES.get(name.lower(), _UNKNOWN) for name in names]
