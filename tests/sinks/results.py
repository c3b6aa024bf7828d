"""Results to write."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from streamdet.result import Result
from streamdet.sinks.formats import open_track_sink
from streamdet.sinks.header import TracksHeader
from streamdet.types import Detections, Frame, Tracks

NAMES = ["person", "Auto, rot"]


def result(index: int, ids: list[int], *, class_id: int = 1, names: list[str] = NAMES) -> Result:
    """Return tracks of `ids`, of which the second is predicted."""
    count = len(ids)
    supports = np.array([0, -1, 1][:count])
    boxes = np.array([[10.126, 20, 30.5, 60]] * count, np.float32).reshape(-1, 4)
    scores = np.full(count, 0.87654, np.float32)
    class_ids = np.full(count, class_id, np.int64)
    frame = Frame(index, 1001 * index, Fraction(1, 30000), np.zeros((80, 90, 3), np.uint8), "clip", 0.0)
    tracks = Tracks(np.array(ids, np.int64), boxes, scores, class_ids, supports)
    return Result(frame, Detections(boxes, scores, class_ids), tracks, names, {})


def write(path: Path, frames: dict[int, list[int]] | None = None, header: TracksHeader | None = None) -> Path:
    """Write a result for each of `frames`, the ids of its tracks by index."""
    with open_track_sink(path, header) as sink:
        for index, ids in (frames or {0: [1, 2], 1: [], 2: [2]}).items():
            sink.write(result(index, ids))
    return path
