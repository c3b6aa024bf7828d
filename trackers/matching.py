"""Who was matched with whom, while one frame is associated in several stages."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trackers.assignment import assign
from trackers.association import Pairs
from trackers.types import BoolArray, FloatArray, IntArray


class Stage(NamedTuple):
    """One association, kept for whoever asks why: the `pairs` (K,) that were free for it, their `cost` f64 (K,), the
    `limit` that an admitted cost lies below, and which were `chosen` bool (K,)."""

    name: str
    pairs: Pairs
    cost: FloatArray
    limit: float
    chosen: BoolArray


class Matching:
    """The pairs found so far: `detection_of` i64 (N,) and `track_of` i64 (M,) hold the partner's row, -1 for none.

    `stages` lists what was decided, in order.
    """

    def __init__(self, tracks: int, detections: int) -> None:
        self.detection_of: IntArray = np.full(tracks, -1)
        self.track_of: IntArray = np.full(detections, -1)
        self.stages: list[Stage] = []

    def associate(
        self, name: str, tracks: BoolArray, detections: BoolArray, pairs: Pairs, cost: FloatArray, limit: float
    ) -> None:
        """Pair what is still free among `tracks` (N,) and `detections` (M,) where `cost` (K,) is below `limit`."""
        tracks, detections = tracks & (self.detection_of < 0), detections & (self.track_of < 0)
        free = np.nonzero(tracks[pairs.rows] & detections[pairs.columns])[0]
        pairs, cost = pairs.select(free), cost[free]
        chosen = np.zeros(len(free), bool)
        if len(admitted := np.nonzero(cost < limit)[0]):
            chosen[admitted] = assign(pairs.rows[admitted], pairs.columns[admitted], cost[admitted], limit)
        self.detection_of[pairs.rows[chosen]] = pairs.columns[chosen]
        self.track_of[pairs.columns[chosen]] = pairs.rows[chosen]
        self.stages.append(Stage(name, pairs, cost, limit, chosen))

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Return the matched tracks and their detections, i64 (K,) each, tracks ascending."""
        rows = np.nonzero(self.detection_of >= 0)[0]
        return rows, self.detection_of[rows]
