"""Who was matched with whom, while one frame is associated in several stages."""

from __future__ import annotations

import numpy as np

from trackers.assignment import assign
from trackers.rows import BoolArray, FloatArray, IntArray


class Matching:
    """The pairs found so far: `detection_of` i64 (N,) and `track_of` i64 (M,) hold the partner's row, -1 for none."""

    def __init__(self, tracks: int, detections: int) -> None:
        self.detection_of: IntArray = np.full(tracks, -1)
        self.track_of: IntArray = np.full(detections, -1)

    def associate(self, tracks: BoolArray, detections: BoolArray, cost: FloatArray, limit: float) -> None:
        """Pair what is still free among `tracks` (N,) and `detections` (M,) where `cost` (N, M) is below `limit`."""
        rows = np.nonzero(tracks & (self.detection_of < 0))[0]
        columns = np.nonzero(detections & (self.track_of < 0))[0]
        paired_rows, paired_columns = assign(cost[np.ix_(rows, columns)], limit)
        self.detection_of[rows[paired_rows]] = columns[paired_columns]
        self.track_of[columns[paired_columns]] = rows[paired_rows]

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Return the matched tracks and their detections, i64 (K,) each, tracks ascending."""
        rows = np.nonzero(self.detection_of >= 0)[0]
        return rows, self.detection_of[rows]
