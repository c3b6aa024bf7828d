"""Tracking in two stages (ByteTrack, arXiv 2110.06864, algorithm 1): sure detections first, then the weak ones.

`ByteTrack` and `BotSort` are this tracker with a motion filter and settings of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from trackers.cost import cosine_distance, iou, iou_cost, with_appearance
from trackers.kalman import KalmanFilter
from trackers.matching import Matching
from trackers.rows import BoolArray, FloatArray, Observations, Tracks
from trackers.table import TrackTable

SECOND_COST_LIMIT = 0.5  # weak detections must overlap by half
TENTATIVE_COST_LIMIT = 0.7


@dataclass(frozen=True, slots=True)
class TwoStageSettings:
    """What all two-stage trackers can be told; keys as in the configuration files of ultralytics, times in seconds.

    Raises ValueError, naming the setting, when a value is out of its range.
    """

    track_high_thresh: float = 0.25
    """Detections with at least this score take part in the first association."""
    track_low_thresh: float = 0.1
    """Weaker ones with at least this score take part in the second; all others are ignored."""
    new_track_thresh: float = 0.25
    """Score from which a detection that matches nothing starts a track."""
    track_buffer_s: float = 1.0
    """How long a track lives without a detection, in s."""
    match_thresh: float = 0.8
    """Cost below which a pair is admitted in the first association; the cost is 1 - IoU, or 1 - IoU * score."""
    fuse_score: bool = True
    """Multiply the IoU by the detection's score."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "track_buffer_s":
                if not 0 <= value < np.inf:
                    raise ValueError(f"track_buffer_s must be a time in s, 0 or more, got {value}")
            elif not 0 <= value <= 1:
                raise ValueError(f"{item.name} must be between 0 and 1, got {value}")
        if self.track_low_thresh > self.track_high_thresh:
            limit = f"track_high_thresh ({self.track_high_thresh})"
            raise ValueError(f"track_low_thresh must not exceed {limit}, got {self.track_low_thresh}")


@dataclass(frozen=True, slots=True)
class AppearanceGate:
    """When appearance may decide (BoT-SORT, eq. 12): near enough by IoU and alike enough by cosine similarity."""

    min_iou: float
    min_similarity: float


class TwoStageTracker:
    """Gives boxes identities over time. Instances share nothing, and the same input gives the same output.

    `frame_rate` is the nominal rate in Hz; `gate` admits appearance, None ignores it.
    """

    def __init__(
        self, settings: TwoStageSettings, motion: KalmanFilter, *, frame_rate: float, gate: AppearanceGate | None = None
    ) -> None:
        if not 0 < frame_rate < np.inf:
            raise ValueError(f"frame_rate must be a rate in Hz above 0, got {frame_rate}")
        self._settings = settings
        self._motion = motion
        self._gate = gate
        self._buffer_periods = settings.track_buffer_s * frame_rate
        self._table = TrackTable()
        self._started = False

    def update(
        self,
        boxes: npt.ArrayLike,
        scores: npt.ArrayLike,
        class_ids: npt.ArrayLike,
        *,
        elapsed: float = 1.0,
        camera_motion: npt.ArrayLike | None = None,
        features: npt.ArrayLike | None = None,
    ) -> Tracks:
        """Take in the detections of the next frame and return the tracks that they support.

        `boxes` (N, 4) x1, y1, x2, y2 in px; `scores` (N,) in [0, 1]; `class_ids` (N,), which do not hinder a match: a
        track's class is the label with the most score so far. `elapsed` is the time since the last update in nominal
        frame periods. `camera_motion` (2, 3) leads from the last image to this one, in px. `features` (N, D) describe
        appearance, the zero vector stands for unknown. The boxes returned are the filter's, which are steadier than
        the detections and score higher (HOTA on MOT17: +0.1). Raises ValueError on input of another shape, on values
        that are not finite, and when no time has elapsed; the tracker is then as it was before the call.
        """
        found = Observations.checked(boxes, scores, class_ids, features)
        if not 0 < elapsed < np.inf:
            raise ValueError(f"elapsed must be above 0 nominal frame periods, got {elapsed}")
        affine = None if camera_motion is None else _affine(camera_motion)
        self._table.widen(found)
        visible = self._table.matched
        self._predict(elapsed, visible, affine)
        matching = self._associate(found, visible)
        self._correct(found, matching)
        self._end()
        self._begin(found, matching)
        return self._table.shown(self._motion.boxes(self._table.means))

    def _predict(self, elapsed: float, visible: BoolArray, affine: FloatArray | None) -> None:
        """Move all tracks to the time and into the image of this frame; a hidden one keeps its size."""
        table = self._table
        table.age(elapsed)
        table.means[~visible, 6:] = 0
        table.move(self._motion.predict(table.means, table.covariances, elapsed))
        if affine is not None:
            table.move(self._motion.warp(table.means, table.covariances, affine))

    def _associate(self, found: Observations, visible: BoolArray) -> Matching:
        """Pair confirmed tracks with strong detections, visible ones with weak, tentative ones with what is left."""
        settings, confirmed = self._settings, self._table.confirmed
        # What was visible may go on over any gap, or frames further apart than the buffer would end every track.
        alive = confirmed & (visible | (self._table.unseen <= self._buffer_periods))
        high = found.scores >= settings.track_high_thresh
        low = ~high & (found.scores >= settings.track_low_thresh)
        overlap = iou(self._motion.boxes(self._table.means), found.boxes)
        fused = iou_cost(overlap, found.scores if settings.fuse_score else None)
        first = self._with_appearance(fused, overlap, found)
        matching = Matching(len(self._table), len(found.boxes))
        matching.associate(alive, high, first, settings.match_thresh)
        matching.associate(confirmed & visible, low, iou_cost(overlap), SECOND_COST_LIMIT)
        matching.associate(~confirmed, high, first, TENTATIVE_COST_LIMIT)
        return matching

    def _with_appearance(self, cost: FloatArray, overlap: FloatArray, found: Observations) -> FloatArray:
        """Return `cost` lowered where a track and a detection are near and look alike."""
        features = self._table.features
        if self._gate is None or not features.shape[1] or not found.features.shape[1]:
            return cost
        distance = cosine_distance(features, found.features)
        admitted = (overlap >= self._gate.min_iou) & (1 - distance >= self._gate.min_similarity)
        return with_appearance(cost, distance, admitted)

    def _correct(self, found: Observations, matching: Matching) -> None:
        """Let detections correct and confirm the tracks they are paired with."""
        table = self._table
        rows, index = matching.pairs()
        estimates = self._motion.update(table.means[rows], table.covariances[rows], found.boxes[index])
        table.support(rows, found, index, estimates)
        table.confirm(table.matched)

    def _end(self) -> None:
        """Forget tentative tracks that were not seen again, and others that were not seen for too long."""
        table = self._table
        table.keep(table.matched | (table.confirmed & (table.unseen <= self._buffer_periods)))

    def _begin(self, found: Observations, matching: Matching) -> None:
        """Start tracks from strong detections that match nothing; those of the first frame need no confirmation."""
        least = max(self._settings.new_track_thresh, self._settings.track_high_thresh)
        index = np.nonzero((matching.track_of < 0) & (found.scores >= least))[0]
        self._table.add(found, index, self._motion.initiate(found.boxes[index]))
        if not self._started:
            self._table.confirm(self._table.matched)
        self._started = True


def _affine(values: npt.ArrayLike) -> FloatArray:
    """Return a camera motion as f64 (2, 3)."""
    matrix = np.asarray(values, np.float64)
    if matrix.shape != (2, 3) or not np.isfinite(matrix).all():
        raise ValueError(f"camera_motion must be 2 x 3 finite numbers, got {matrix.tolist()}")
    return matrix
