"""StreamSort, the default: two stages over a steadier motion, with ideas for crowds and for any detector.

- Scores are taken relative to those of the objects that are tracked at the time, so that the same thresholds suit a
  detector that is sure of itself and one that is not.
- Motion and its noise are stated per second: the same object moves alike at any frame rate. While the speed of a track
  is not known yet, boxes are widened by as much as it may have moved (buffered IoU, arXiv 2211.14317, by uncertainty).
- What speaks for a pair is the overlap, and how well height in the image and size agree with the motion, in standard
  deviations: these tell how far away someone is, and so who is hidden by whom (the Mahalanobis term of BoostTrack,
  arXiv 2408.13003, over the numbers that show depth).
- A track that is hidden goes on being reported where it is expected, for a moment and inside the image.
- A detection that covers an object that is tracked starts no track (after TrackTrack's track-aware initialisation,
  CVPR 2025, section 3.4).
- With appearance, what is left after all stages may be found again by its looks as far away as it can have gone.

`docs/trackers.md` says what each is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trackers.association import Matching, Pairs, overlapping
from trackers.botsort import AppearanceGate, AppearanceTracker
from trackers.bytetrack import ByteTrackConfig
from trackers.kalman import SPEED_VARIANCE, VALUE, WidthHeightFilter
from trackers.tracker import FrameContext
from trackers.types import BoolArray, FloatArray, IntArray

MOTION_RATE_HZ = 30.0  # what the next three are stated for
POSITION_STD = 1 / 25  # of the box's size
VELOCITY_STD = 1 / 320  # of the box's size, per frame period
FIRST_VELOCITY_STD = 1 / 13  # of the box's size, per frame period: 2.3 widths per second, a walker
UNKNOWN_SCORE = 0.6  # what objects score while none is tracked
DEPTH = [1, 3]  # the numbers of a state that tell how far away someone is: how high in the image, and how tall
DEPTH_WEIGHT = 0.2
SECOND_COST_LIMIT = 0.4
STEADY_HITS = 3  # detections that a track needs before its motion is trusted in hiding
REACH_SIZES = 0.5  # box heights that a lost object may be away from where it is expected, and
REACH_SIZES_PER_S = 1.5  # how many more for each second that it has been hidden


@dataclass(frozen=True, slots=True)
class StreamSortConfig(ByteTrackConfig):
    """Settings of `StreamSort`; score thresholds are shares of the mean score of the objects tracked at the time."""

    track_high_thresh: float = 0.6
    new_track_thresh: float = 0.85
    track_buffer_s: float = 1.5
    match_thresh: float = 0.77
    coast_s: float = 0.3
    """How long a hidden track is reported where it is expected, in s."""
    birth_overlap: float = 0.5
    """IoU with a matched detection above which a detection starts no track."""
    appearance_thresh: float = 0.7
    """Smallest cosine similarity at which appearance may decide."""


class StreamSort(AppearanceTracker):
    """Two stages over a state of centre, width and height; appearance counts when features are given."""

    second_cost_limit = SECOND_COST_LIMIT
    motion_rate_hz = MOTION_RATE_HZ

    def __init__(self, config: StreamSortConfig | None = None, *, frame_rate: float = 30.0) -> None:
        config = config or StreamSortConfig()
        motion = WidthHeightFilter(POSITION_STD, VELOCITY_STD, FIRST_VELOCITY_STD)
        gate = AppearanceGate(min_iou=0.0, min_similarity=config.appearance_thresh)
        super().__init__(config, motion, gate, frame_rate=frame_rate)
        self._coast_periods = config.coast_s * frame_rate
        self._birth_overlap = config.birth_overlap
        self._min_similarity = config.appearance_thresh

    def _strength(self, scores: FloatArray) -> FloatArray:
        """Return `scores` relative to the mean of all that support the tracks of this moment."""
        confirmed = self._table.confirmed
        hits = self._table.hits[confirmed].sum()
        return scores / (self._table.votes[confirmed].sum() / hits if hits else UNKNOWN_SCORE)

    def _margins(self, elapsed: float) -> FloatArray:
        """As far as the speed, where it is not known well yet, may have carried a track since the last frame."""
        deviation: FloatArray = np.sqrt(self._table.states[:, SPEED_VARIANCE, :2])
        return elapsed * self._pace * deviation

    def _affinity(self, frame: FrameContext, pairs: Pairs) -> FloatArray:
        states = self._table.states
        measured = self._motion.measure(frame.found.boxes)[:, DEPTH]
        residual = measured[pairs.columns] - states[:, VALUE, DEPTH][pairs.rows]
        # d2 = (z - x)' S^-1 (z - x);  a = IoU - w (1 - exp(-d2))
        squared = (residual**2 / self._motion.innovation(states)[:, DEPTH][pairs.rows]).sum(axis=1)
        surprise: FloatArray = 1 - np.exp(-squared)
        return pairs.iou - DEPTH_WEIGHT * surprise

    def _associate(self, frame: FrameContext) -> Matching:
        matching = super()._associate(frame)
        if frame.appearance is not None:
            self._find_again(frame, matching)
        return matching

    def _find_again(self, frame: FrameContext, matching: Matching) -> None:
        """Pair lost tracks and strong detections that look alike, as far away as a lost object can have gone."""
        table, found = self._table, frame.found
        lost = np.nonzero(table.confirmed & table.known & (matching.detection_of < 0))[0]
        free = super()._births(frame, matching)
        centres = self._motion.measure(found.boxes)[free, :2]
        away = np.linalg.norm(table.states[lost, VALUE, None, :2] - centres, axis=2)
        heights = frame.boxes[lost, 3] - frame.boxes[lost, 1]
        reach = (REACH_SIZES + REACH_SIZES_PER_S * table.unseen[lost] / self._frame_rate) * heights
        row, column = np.nonzero(away < reach[:, None])
        pairs = Pairs(lost[row], free[column], np.zeros(len(row)))
        distance = 1 - self._similarity(frame, pairs.rows, pairs.columns)
        everyone, everything = np.ones(len(table), bool), np.ones(len(found.scores), bool)
        matching.associate("looks", everyone, everything, pairs, distance, 1 - self._min_similarity)

    def _births(self, frame: FrameContext, matching: Matching) -> IntArray:
        index, boxes = super()._births(frame, matching), frame.found.boxes
        if not len(index):
            return index
        covering = overlapping(boxes[index], boxes[matching.track_of >= 0])
        return np.delete(index, np.unique(covering.rows[covering.iou > self._birth_overlap]))

    def _reported(self, frame: FrameContext) -> BoolArray:
        table = self._table
        coasting = (table.unseen <= self._coast_periods) & (table.hits >= STEADY_HITS)
        x, y = table.states[:, VALUE, :2].T
        width, height = frame.image_size
        inside = (x > 0) & (x < width) & (y > 0) & (y < height)
        reported: BoolArray = table.confirmed & (table.matched | (coasting & inside))
        return reported
