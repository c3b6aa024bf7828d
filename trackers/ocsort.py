"""OC-SORT: SORT that trusts what was observed more than what was predicted (arXiv 2203.14360).

- Observation-centric momentum (section 4.2): a pair costs less where the detection lies in the direction in which the
  track has been observed to move.
- Observation-centric recovery (section 4.2): what is left is compared with where tracks were observed last, which finds
  those that stopped while they were hidden.
- Observation-centric re-update (section 4.1): when a hidden track is found again, its filter goes back to the last
  observation and is led along a straight line to the new one, so that the errors of the time between are forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trackers.association import Pairs, overlapping
from trackers.matching import Matching
from trackers.observed import ObservedTable, centres
from trackers.sort import Sort, SortSettings
from trackers.tracker import Scene
from trackers.types import BoolArray, FloatArray, IntArray, unit

WEAK_COST_LIMIT = 0.5  # weak detections must overlap by half (ByteTrack, arXiv 2110.06864)
MOST_STEPS = 60  # of a virtual trajectory: enough for two seconds period by period, longer steps do for more


@dataclass(frozen=True, slots=True)
class OcSortSettings(SortSettings):
    """Settings of `OcSort`; the defaults are those of the paper, frames counted at 30 Hz."""

    track_high_thresh: float = 0.6
    track_buffer_s: float = 1.0
    momentum_weight: float = 0.2
    """How much the direction counts beside the overlap, which is at most 1."""
    direction_s: float = 0.1
    """Over how long the direction of a track is observed, in s."""
    weak_stage: bool = False
    """Give weaker detections to tracks that are left over, as ByteTrack does."""
    track_low_thresh: float = 0.1
    """Score from which weaker detections count, if they do."""


class OcSort(Sort):
    """SORT's association with momentum, recovery and re-update; see `Tracker` for the rest."""

    _table: ObservedTable

    def __init__(self, settings: OcSortSettings | None = None, *, frame_rate: float = 30.0) -> None:
        settings = settings or OcSortSettings()
        super().__init__(settings, frame_rate=frame_rate)
        self._span = settings.direction_s * frame_rate
        self._table = ObservedTable(observed=np.zeros((0, max(2, round(self._span) + 1), 5)))
        self._momentum_weight = settings.momentum_weight
        self._weak_limit = settings.track_low_thresh if settings.weak_stage else np.inf

    def _predict(self, elapsed: float, visible: BoolArray, affine: FloatArray | None) -> None:
        super()._predict(elapsed, visible, affine)
        if affine is not None:
            self._table.seen_states = self._motion.warp(self._table.seen_states, affine)
            self._table.warp(affine)

    def _associate(self, scene: Scene) -> Matching:
        alive, strong = self._alive(scene), self._strong(scene)
        matching = Matching(len(alive), len(strong))
        admitted = scene.pairs.select(scene.pairs.iou > 1 - self._cost_limit)
        cost = 1 - admitted.iou - self._momentum_weight * self._consistency(scene, admitted)
        matching.associate("strong", alive, strong, admitted, cost, self._cost_limit + self._momentum_weight / 2)
        weak = ~strong & (scene.found.scores >= self._weak_limit)
        matching.associate("weak", scene.visible, weak, scene.pairs, 1 - scene.pairs.iou, WEAK_COST_LIMIT)
        self._recover(scene, matching)
        return matching

    def _consistency(self, scene: Scene, pairs: Pairs) -> FloatArray:
        """Return from -1/2 to 1/2 (K,) how well the way to the detection agrees with that of the track."""
        last, found = centres(self._table.last_boxes), centres(scene.found.boxes)
        way = unit(found[pairs.columns] - last[pairs.rows])
        cosine = (way * self._table.directions(self._span)[pairs.rows]).sum(axis=1)
        # 1/2 - |theta| / pi, where the angle theta is pi / 2 if one of the ways is not known
        consistency: FloatArray = 0.5 - np.arccos(np.clip(cosine, -1, 1)) / np.pi
        return consistency

    def _recover(self, scene: Scene, matching: Matching) -> None:
        """Pair what is left where tracks were observed last."""
        alive, strong = self._alive(scene), self._strong(scene)
        rows = np.nonzero(alive & (matching.detection_of < 0))[0]
        columns = np.nonzero(strong & (matching.track_of < 0))[0]
        near = overlapping(self._table.last_boxes[rows], scene.found.boxes[columns])
        pairs = Pairs(rows[near.rows], columns[near.columns], near.iou)
        matching.associate("recovered", alive, strong, pairs, 1 - pairs.iou, self._cost_limit)

    def _correct(self, scene: Scene, matching: Matching) -> None:
        rows, index = matching.pairs()
        again = ~scene.visible[rows]
        self._re_update(rows[again], scene.found.boxes[index[again]])
        super()._correct(scene, matching)

    def _re_update(self, rows: IntArray, boxes: FloatArray) -> None:
        """Lead hidden tracks `rows` (K,) from their last observation to now, when they are found in `boxes` (K, 4)."""
        table = self._table
        gap, first, states = table.unseen[rows, None], table.last_boxes[rows], table.seen_states[rows]
        steps = np.clip(np.ceil(gap), 1, MOST_STEPS)
        for step in range(1, int(steps.max(initial=0))):
            on = steps[:, 0] > step
            # z(t) = z1 + (t - t1) / (t2 - t1) (z2 - z1)
            virtual = first[on] + step / steps[on] * (boxes - first)[on]
            later = self._motion.predict(states[on], (gap / steps)[on] * self._pace)
            states[on] = self._motion.update(later, virtual)
        table.states[rows] = self._motion.predict(states, gap / steps * self._pace)
