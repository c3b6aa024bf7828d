"""SORT: a Kalman filter and one assignment by overlap (arXiv 1602.00763)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trackers.association import Matching
from trackers.kalman import AreaAspectFilter
from trackers.tracker import FrameContext, Tracker
from trackers.types import BoolArray, Config, IntArray


@dataclass(frozen=True, slots=True)
class SortConfig(Config):
    """Settings of `Sort`; the defaults are those of the paper, frames counted at 30 Hz."""

    track_high_thresh: float = 0.5
    """Detections with at least this score take part and may start a track; all others are ignored."""
    track_buffer_s: float = 0.04
    """How long a track lives without a detection, in s."""
    match_thresh: float = 0.7
    """Cost below which a pair is admitted; the cost is 1 - IoU."""
    min_hits: int = 3
    """How many detections in consecutive frames a track needs before it is reported; those of the first frame, one."""


class Sort(Tracker):
    """One association of all tracks with all detections; see `Tracker` for the rest."""

    def __init__(self, config: SortConfig | None = None, *, frame_rate: float = 30.0) -> None:
        config = config or SortConfig()
        super().__init__(AreaAspectFilter(), frame_rate=frame_rate, buffer_s=config.track_buffer_s)
        self._score_limit = config.track_high_thresh
        self._cost_limit = config.match_thresh
        self._min_hits = config.min_hits

    def _associate(self, frame: FrameContext) -> Matching:
        matching = Matching(len(self._table), len(frame.found.scores))
        cost = 1 - frame.pairs.iou
        matching.associate("strong", self._alive(frame), self._strong(frame), frame.pairs, cost, self._cost_limit)
        return matching

    def _alive(self, frame: FrameContext) -> BoolArray:
        """Return which tracks (N,) may be matched: what was visible may go on over any gap between frames."""
        return frame.visible | (self._table.unseen <= self._buffer_periods)

    def _strong(self, frame: FrameContext) -> BoolArray:
        """Return which detections (M,) take part."""
        return frame.found.scores >= self._score_limit

    def _births(self, frame: FrameContext, matching: Matching) -> IntArray:
        return np.nonzero((matching.track_of < 0) & self._strong(frame))[0]

    def _begin(self, frame: FrameContext, matching: Matching) -> None:
        super()._begin(frame, matching)
        self._table.confirm(self._confirmed())

    def _confirmed(self) -> BoolArray:
        return self._table.matched & (self._table.hits >= self._min_hits)
