"""SORT: one association by overlap over a Kalman filter (arXiv 1602.00763)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trackers.association import FrameContext, Matching
from trackers.kalman import AreaAspectFilter
from trackers.tracker import Tracker
from trackers.types import BoolArray, Config, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class SortConfig(Config):
    """Settings of `Sort`; the defaults are those of the paper, except that it ends a track after one frame."""

    track_high_thresh: float = 0.5
    """Detections with at least this score take part and may begin a track; all others are ignored."""
    track_buffer_s: float = 1.0
    """How long a track lives without a detection, in s."""
    match_thresh: float = 0.7
    """Cost below which a pair is admitted; the cost is 1 - IoU."""
    min_hits: int = 3
    """Detections in consecutive frames before a track is reported; one is enough if it begins in the first frame."""


class Sort(Tracker):
    """A tracker with one association of all tracks with all detections that score high enough."""

    def __init__(self, config: SortConfig | None = None, *, frame_rate: float = 30.0) -> None:
        config = config or SortConfig()
        super().__init__(AreaAspectFilter(), frame_rate=frame_rate, buffer_s=config.track_buffer_s)
        self._score_limit = config.track_high_thresh
        self._cost_limit = config.match_thresh
        self._min_hits = config.min_hits

    def _associate(self, frame: FrameContext) -> Matching:
        matching = Matching(len(self._table), len(frame.detections.scores))
        cost = 1 - frame.pairs.iou
        matching.associate("strong", self._alive(frame), self._strong(frame), frame.pairs, cost, self._cost_limit)
        return matching

    def _strong(self, frame: FrameContext) -> BoolArray:
        """Return which detections (M,) score high enough to take part."""
        return frame.detections.scores >= self._score_limit

    def _births(self, frame: FrameContext, matching: Matching) -> IntArray:
        return np.nonzero(matching.free_detections & self._strong(frame))[0]

    def _begin(self, frame: FrameContext, matching: Matching) -> None:
        super()._begin(frame, matching)
        # If min_hits is 1, a new track is confirmed at once.
        self._table.confirm(self._confirmed())

    def _reported_boxes(self, frame: FrameContext) -> FloatArray:
        """Return the boxes of the filter, and for matched tracks those detected."""
        table, boxes = self._table, super()._reported_boxes(frame)
        boxes[table.matched] = frame.detections.boxes[table.detections[table.matched]]
        return boxes

    def _confirmed(self) -> BoolArray:
        return self._table.matched & (self._table.hits >= self._min_hits)
