"""Tracking in two stages (ByteTrack, arXiv 2110.06864, algorithm 1): sure detections first, then the weak ones.

`ByteTrack`, `BotSort` and `StreamSort` are this tracker with a motion filter, settings and steps of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trackers.appearance import Appearance
from trackers.association import Pairs
from trackers.kalman import KalmanFilter
from trackers.matching import Matching
from trackers.settings import Settings
from trackers.tracker import Scene, Tracker
from trackers.types import BoolArray, FloatArray, IntArray

SECOND_COST_LIMIT = 0.5  # weak detections must overlap by half
TENTATIVE_COST_LIMIT = 0.7
CHANGED_CLASS_COST_LIMIT = 0.3  # in the same place by 70 %, it is the label that changed and not the object
REFRESH_HITS = 10  # without doubt who it is, every so many matches are enough to keep an appearance up to date


@dataclass(frozen=True, slots=True)
class TwoStageSettings(Settings):
    """What all two-stage trackers can be told; keys as in the configuration files of ultralytics, times in seconds."""

    track_high_thresh: float = 0.25
    """Detections with at least this score take part in the first association."""
    track_low_thresh: float = 0.1
    """Weaker ones with at least this score take part in the second; all others are ignored."""
    new_track_thresh: float = 0.4
    """Score from which a detection that matches nothing starts a track."""
    track_buffer_s: float = 2.0
    """How long a track lives without a detection, in s."""
    match_thresh: float = 0.85
    """Cost below which a pair is admitted in the first association; the cost is 1 - IoU, or 1 - IoU * score."""
    fuse_score: bool = True
    """Multiply the IoU by the detection's score."""
    class_aware: bool = False
    """Match a track only with detections of its class, except where the label of an object changes in place."""

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if self.track_low_thresh > self.track_high_thresh:
            limit = f"track_high_thresh ({self.track_high_thresh})"
            raise ValueError(f"track_low_thresh must not exceed {limit}, got {self.track_low_thresh}")


@dataclass(frozen=True, slots=True)
class AppearanceGate:
    """When appearance may decide (BoT-SORT, eq. 12): near enough by IoU and alike enough by cosine similarity."""

    min_iou: float
    min_similarity: float


class TwoStageTracker(Tracker):
    """The association in stages; `gate` admits appearance, None ignores it. See `Tracker` for the rest."""

    second_cost_limit = SECOND_COST_LIMIT

    def __init__(
        self, settings: TwoStageSettings, motion: KalmanFilter, *, frame_rate: float, gate: AppearanceGate | None = None
    ) -> None:
        super().__init__(motion, frame_rate=frame_rate, buffer_s=settings.track_buffer_s)
        self._settings = settings
        self._gate = gate

    def _associate(self, scene: Scene) -> Matching:
        """Pair confirmed tracks with strong detections, visible ones with weak, tentative ones with what is left."""
        settings, confirmed = self._settings, self._table.confirmed
        strength = self._strength(scene.found.scores)
        # What was visible may go on over any gap, or frames further apart than the buffer would end every track.
        alive = confirmed & (scene.visible | (self._table.unseen <= self._buffer_periods))
        high = strength >= settings.track_high_thresh
        low = ~high & (strength >= settings.track_low_thresh)
        pairs, relabelled = self._by_class(scene)
        affinity = self._affinity(scene, pairs)
        # Sure detections go first.
        fused = affinity * strength[pairs.columns] if settings.fuse_score else affinity
        first = self._with_appearance(1 - fused, pairs, scene, alive, high)
        matching = Matching(len(self._table), len(strength))
        matching.associate("strong", alive, high, pairs, first, settings.match_thresh)
        if settings.class_aware:
            cost = 1 - relabelled.iou
            matching.associate("relabelled", alive, high | low, relabelled, cost, CHANGED_CLASS_COST_LIMIT)
        matching.associate("weak", confirmed & scene.visible, low, pairs, 1 - affinity, self.second_cost_limit)
        matching.associate("tentative", ~confirmed, high, pairs, first, TENTATIVE_COST_LIMIT)
        return matching

    def _births(self, scene: Scene, matching: Matching) -> IntArray:
        """Return the strong detections that match nothing."""
        least = max(self._settings.new_track_thresh, self._settings.track_high_thresh)
        return np.nonzero((matching.track_of < 0) & (self._strength(scene.found.scores) >= least))[0]

    def _strength(self, scores: FloatArray) -> FloatArray:
        """Return what thresholds are compared with, and overlaps multiplied by, for detections of these `scores`."""
        return scores

    def _affinity(self, scene: Scene, pairs: Pairs) -> FloatArray:
        """Return how well each of `pairs` (K,) fits by place: the IoU."""
        return pairs.iou

    def _by_class(self, scene: Scene) -> tuple[Pairs, Pairs]:
        """Return the pairs that the classes allow, and those of different classes."""
        if not self._settings.class_aware:
            return scene.pairs, scene.pairs
        same = self._table.class_ids[scene.pairs.rows] == scene.found.class_ids[scene.pairs.columns]
        return scene.pairs.select(same), scene.pairs.select(~same)

    def _with_appearance(
        self, cost: FloatArray, pairs: Pairs, scene: Scene, tracks: BoolArray, detections: BoolArray
    ) -> FloatArray:
        """Return `cost`, lowered for pairs that are near and look alike (BoT-SORT, eq. 12, 13).

        Of features that have to be computed only those are asked for that can change the outcome: of detections for
        which tracks compete, or that a track competes for, or that a hidden track may come back in.
        """
        if self._gate is None or scene.appearance is None:
            return cost
        index = np.nonzero((pairs.iou >= self._gate.min_iou) & tracks[pairs.rows] & detections[pairs.columns])[0]
        if scene.appearance.lazy:
            rows, columns = pairs.rows[index], pairs.columns[index]
            rivals = (np.bincount(rows)[rows] > 1) | (np.bincount(columns)[columns] > 1)
            index = index[rivals | ~scene.visible[rows]]
        similarity = self._similarity(scene, pairs.rows[index], pairs.columns[index])
        alike = similarity >= self._gate.min_similarity
        index = index[alike]
        # C = min(d_iou, d_cos / 2 if near and alike else 1)
        lowered = cost.copy()
        lowered[index] = np.minimum(cost[index], (1 - similarity[alike]) / 2)
        return lowered

    def _similarity(self, scene: Scene, rows: IntArray, columns: IntArray) -> FloatArray:
        """Return the cosine similarity (K,) of tracks `rows` and detections `columns`, 0 where one is unknown."""
        if scene.appearance is None or not self._table.features.shape[1] or not len(rows):
            return np.zeros(len(rows))
        looks = scene.appearance.of(columns)
        self._check_length(looks)
        similarity: FloatArray = np.einsum("kd,kd->k", self._table.features[rows], looks)
        return similarity

    def _begin(self, scene: Scene, matching: Matching) -> None:
        super()._begin(scene, matching)
        if self._gate is not None and scene.appearance is not None:
            self._look(scene.appearance)

    def _look(self, appearance: Appearance) -> None:
        """Bring the appearance of matched tracks up to date where it is known, needed for the first time, or old."""
        table = self._table
        rows = np.nonzero(table.matched)[0]
        index, hits = table.detections[rows], table.hits[rows]
        due = np.nonzero(appearance.known[index] | (~table.known[rows] & (hits > 1)) | (hits % REFRESH_HITS == 0))[0]
        if len(due):
            table.look(rows[due], appearance.of(index[due]))
