"""BoT-SORT: ByteTrack with another state of the motion filter, camera motion and appearance (arXiv 2206.14651)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trackers.association import FrameContext, Matching, Pairs
from trackers.bytetrack import ByteTrack, ByteTrackConfig
from trackers.kalman import KalmanFilter, WidthHeightFilter
from trackers.types import Appearance, BoolArray, FloatArray, IntArray

REFRESH_HITS = 10  # matches after which the appearance of a track is updated although its matches are unambiguous


@dataclass(frozen=True, slots=True)
class BotSortConfig(ByteTrackConfig):
    """Settings of `BotSort`: those of `ByteTrack` and the limits from which appearance may decide."""

    proximity_thresh: float = 0.5
    """Smallest IoU at which appearance may decide."""
    appearance_thresh: float = 0.8
    """Smallest cosine similarity at which appearance may decide."""


@dataclass(frozen=True, slots=True)
class AppearanceGate:
    """The pairs in which appearance may decide (BoT-SORT, eq. 12): both IoU and cosine similarity are high enough."""

    min_iou: float
    min_similarity: float


class AppearanceTracker(ByteTrack):
    """ByteTrack whose first association also compares appearance, where `gate` admits it and features are given."""

    def __init__(
        self, config: ByteTrackConfig, motion: KalmanFilter, gate: AppearanceGate, *, frame_rate: float
    ) -> None:
        super().__init__(config, frame_rate=frame_rate, motion=motion)
        self._gate = gate

    def _first_cost(
        self, cost: FloatArray, pairs: Pairs, frame: FrameContext, tracks: BoolArray, detections: BoolArray
    ) -> FloatArray:
        """Return `cost`, lowered for pairs that are near and look alike (BoT-SORT, eq. 12, 13).

        Features that have to be computed are requested only where they can change the outcome: for pairs that share
        their track or their detection with another pair, and for pairs with a hidden track.
        """
        if frame.appearance is None:
            return cost
        index = np.nonzero((pairs.iou >= self._gate.min_iou) & tracks[pairs.rows] & detections[pairs.columns])[0]
        if frame.appearance.lazy:
            rows, columns = pairs.rows[index], pairs.columns[index]
            rivals = (np.bincount(rows)[rows] > 1) | (np.bincount(columns)[columns] > 1)
            index = index[rivals | ~frame.visible[rows]]
        similarity = self._similarity(frame, pairs.rows[index], pairs.columns[index])
        alike = similarity >= self._gate.min_similarity
        index = index[alike]
        # C = min(d_iou, d_cos / 2 if near and alike else 1)
        lowered = cost.copy()
        lowered[index] = np.minimum(cost[index], (1 - similarity[alike]) / 2)
        return lowered

    def _similarity(self, frame: FrameContext, rows: IntArray, columns: IntArray) -> FloatArray:
        """Return the cosine similarity (K,) of tracks `rows` and detections `columns`, 0 where one is unknown.

        Raises ValueError when the length of features has changed.
        """
        if frame.appearance is None or not self._table.features.shape[1] or not len(rows):
            return np.zeros(len(rows))
        features = frame.appearance.features(columns)
        similarity: FloatArray = np.einsum("kd,kd->k", self._table.features[rows], features)
        return similarity

    def _begin(self, frame: FrameContext, matching: Matching) -> None:
        super()._begin(frame, matching)
        if frame.appearance is not None:
            self._update_features(frame.appearance)

    def _update_features(self, appearance: Appearance) -> None:
        """Update the features of matched tracks.

        That is, those whose detection's features are computed already, those that have none after more than one hit,
        and all of them every `REFRESH_HITS` hits.
        """
        table = self._table
        rows = np.nonzero(table.matched)[0]
        index, hits = table.detections[rows], table.hits[rows]
        due = np.nonzero(appearance.known[index] | (~table.known[rows] & (hits > 1)) | (hits % REFRESH_HITS == 0))[0]
        if len(due):
            table.update_features(rows[due], appearance.features(index[due]))


class BotSort(AppearanceTracker):
    """ByteTrack over a state of centre, width and height, with appearance when features are given."""

    def __init__(self, config: BotSortConfig | None = None, *, frame_rate: float = 30.0) -> None:
        config = config or BotSortConfig()
        gate = AppearanceGate(config.proximity_thresh, config.appearance_thresh)
        super().__init__(config, WidthHeightFilter(), gate, frame_rate=frame_rate)
