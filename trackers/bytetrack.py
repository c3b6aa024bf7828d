"""ByteTrack: every detection box is associated, weak ones too (arXiv 2110.06864, algorithm 1).

Detections with a high score are matched first, those with a low score next, with the tracks that are left over. The
steps of an update are in `Tracker`; this file holds the association and the choice of detections that begin a track.
`BotSort` and `StreamSort` are this tracker with another motion filter and other terms in the costs.
"""

from __future__ import annotations

from dataclasses import dataclass

from trackers.association import FrameContext, Matching, Pairs
from trackers.kalman import AspectHeightFilter, KalmanFilter
from trackers.tracker import Tracker
from trackers.types import BoolArray, Config, FloatArray, IntArray

SECOND_COST_LIMIT = 0.5  # weak detections must overlap by half
TENTATIVE_COST_LIMIT = 0.7
CHANGED_CLASS_COST_LIMIT = 0.3  # an overlap of 70 %: the label of the object changed, it is not another object


@dataclass(frozen=True, slots=True)
class ByteTrackConfig(Config):
    """Settings of `ByteTrack`; names as in the configuration files of ultralytics, times in seconds."""

    track_high_thresh: float = 0.25
    """Detections with at least this score take part in the first association."""
    track_low_thresh: float = 0.1
    """Weaker ones with at least this score take part in the second; all others are ignored."""
    new_track_thresh: float = 0.4
    """Score from which a detection that matches nothing begins a track."""
    track_buffer_s: float = 2.0
    """How long a track lives without a detection, in s."""
    match_thresh: float = 0.85
    """Cost below which a pair is admitted in the first association; the cost is 1 - IoU, or 1 - IoU * score."""
    fuse_score: bool = True
    """Multiply the IoU by the detection's score."""
    class_aware: bool = False
    """Match a track only with detections of its class, except where the label of an object changes in place."""

    def __post_init__(self) -> None:
        Config.__post_init__(self)
        if self.track_low_thresh > self.track_high_thresh:
            limit = f"track_high_thresh ({self.track_high_thresh})"
            raise ValueError(f"track_low_thresh must not exceed {limit}, got {self.track_low_thresh}")


class ByteTrack(Tracker):
    """A tracker that associates in stages: strong detections first, then weak ones.

    `motion` is the motion filter, by default over centre, aspect ratio and height.
    """

    second_cost_limit = SECOND_COST_LIMIT

    def __init__(
        self,
        config: ByteTrackConfig | None = None,
        *,
        frame_rate: float = 30.0,
        motion: KalmanFilter | None = None,
    ) -> None:
        self._config = config or ByteTrackConfig()
        motion = motion or AspectHeightFilter()
        super().__init__(motion, frame_rate=frame_rate, buffer_s=self._config.track_buffer_s)

    def _associate(self, frame: FrameContext) -> Matching:
        """Match confirmed tracks with strong detections, visible ones with weak, tentative ones with the strong left.

        With `class_aware`, pairs of different classes are matched only where the label of an object changed in place.
        """
        config, confirmed = self._config, self._table.confirmed
        # A visible track may continue over any gap; otherwise frames further apart than the buffer would end all.
        continuing = self._alive(frame)
        alive = confirmed & continuing
        strength = self._strength(frame.detections.scores)
        high = strength >= config.track_high_thresh
        low = (strength >= config.track_low_thresh) & ~high

        pairs, relabelled = self._split_by_class(frame)
        affinity = self._affinity(frame, pairs)
        fused = affinity * strength[pairs.columns] if config.fuse_score else affinity
        first_cost = self._first_cost(1 - fused, pairs, frame, alive, high)

        matching = Matching(len(self._table), len(strength))
        matching.associate("strong", alive, high, pairs, first_cost, config.match_thresh)
        if config.class_aware:
            cost = 1 - relabelled.iou
            matching.associate("relabelled", alive, high | low, relabelled, cost, CHANGED_CLASS_COST_LIMIT)
        matching.associate("weak", confirmed & frame.visible, low, pairs, 1 - affinity, self.second_cost_limit)
        matching.associate("tentative", ~confirmed, high, pairs, first_cost, TENTATIVE_COST_LIMIT)
        self._associate_left(matching, continuing, high, pairs, first_cost)
        return matching

    def _associate_left(
        self, matching: Matching, tracks: BoolArray, detections: BoolArray, pairs: Pairs, cost: FloatArray
    ) -> None:
        """Match what the stages left of `tracks` (N,) and `detections` (M,), masks, by the `cost` (K,) of `pairs`."""

    def _births(self, frame: FrameContext, matching: Matching) -> IntArray:
        """Return the strong detections (K,) that match nothing."""
        free = matching.free_detections.nonzero()[0]
        if not len(free):
            return free
        least = max(self._config.new_track_thresh, self._config.track_high_thresh)
        return free[self._strength(frame.detections.scores[free]) >= least]

    def _split_by_class(self, frame: FrameContext) -> tuple[Pairs, Pairs]:
        """Return the pairs of equal class and those of different classes; without `class_aware`, all pairs twice."""
        if not self._config.class_aware:
            return frame.pairs, frame.pairs
        same = self._table.class_ids[frame.pairs.rows] == frame.detections.class_ids[frame.pairs.columns]
        return frame.pairs.select(same), frame.pairs.select(~same)

    def _strength(self, scores: FloatArray) -> FloatArray:
        """Return what thresholds are compared with, and overlaps multiplied by: the `scores` (M,) of detections."""
        return scores

    def _affinity(self, frame: FrameContext, pairs: Pairs) -> FloatArray:
        """Return how well the boxes of each of `pairs` (K,) agree: the IoU."""
        return pairs.iou

    def _first_cost(
        self, cost: FloatArray, pairs: Pairs, frame: FrameContext, tracks: BoolArray, detections: BoolArray
    ) -> FloatArray:
        """Return the cost (K,) of `pairs` in the first association: `cost`, which is 1 - affinity, fused or not.

        `tracks` (N,) and `detections` (M,) are those that take part in it.
        """
        return cost
