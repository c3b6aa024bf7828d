"""OC-SORT: SORT that relies on past observations more than on predictions (arXiv 2203.14360, section 4).

- Momentum: the cost of a pair includes how far the direction to the detection agrees with that of the track.
- Recovery: tracks left over are matched by the overlap with their last observation.
- Re-update: the filter of a track that is found again is corrected along a virtual trajectory through the gap.
- Tracks are reported where they are detected: the filter, whose noise is the same at every size and frame rate, lags
  behind (HOTA on KITTI's cars: -5.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from trackers.association import FrameContext, Matching, Pairs, overlapping_shapes
from trackers.sort import Sort, SortConfig
from trackers.states import States, no_states
from trackers.tracks import COLUMNS, TrackTable
from trackers.types import BoolArray, FloatArray, IntArray, Observations, unit

WEAK_COST_LIMIT = 0.5  # weak detections must overlap by half (ByteTrack, arXiv 2110.06864)
MOST_STEPS = 60  # of a virtual trajectory: one per period for up to two seconds; longer gaps take longer steps
AGE = 4  # the column of `observed` after the box


@dataclass(frozen=True, slots=True)
class OcSortConfig(SortConfig):
    """Settings of `OcSort`; the defaults are those of the paper, frames counted at 30 Hz."""

    track_high_thresh: float = 0.6
    momentum_weight: float = 0.2
    """Weight of the direction beside the overlap, which is at most 1."""
    direction_s: float = 0.1
    """Time over which the direction of a track is measured, in s."""
    weak_stage: bool = False
    """Match tracks that are left over with weaker detections, as ByteTrack does."""
    track_low_thresh: float = 0.1
    """Score from which weaker detections take part, with `weak_stage`."""


class OcSort(Sort):
    """`Sort` with momentum, recovery and re-update."""

    _table: ObservedTable

    def __init__(self, config: OcSortConfig | None = None, *, frame_rate: float = 30.0) -> None:
        config = config or OcSortConfig()
        super().__init__(config, frame_rate=frame_rate)
        self._span = config.direction_s * frame_rate
        self._table = ObservedTable(observed=np.zeros((0, max(2, round(self._span) + 1), 5)))
        self._momentum_weight = config.momentum_weight
        self._weak_limit = config.track_low_thresh if config.weak_stage else np.inf

    def _predict(self, elapsed: float, visible: BoolArray, affine: FloatArray | None) -> None:
        super()._predict(elapsed, visible, affine)
        if affine is not None:
            self._table.seen_states = self._motion.warp(self._table.seen_states, affine)
            self._table.warp(affine)

    def _associate(self, frame: FrameContext) -> Matching:
        alive, strong = self._alive(frame), self._strong(frame)
        matching = Matching(len(alive), len(strong))
        # The overlap admits pairs; the limit is raised by the most that momentum can add to the cost of one.
        admitted = frame.pairs.select(frame.pairs.iou > 1 - self._cost_limit)
        cost = 1 - admitted.iou - self._momentum_weight * self._consistency(frame, admitted)
        matching.associate("strong", alive, strong, admitted, cost, self._cost_limit + self._momentum_weight / 2)
        weak = ~strong & (frame.detections.scores >= self._weak_limit)
        matching.associate("weak", frame.visible, weak, frame.pairs, 1 - frame.pairs.iou, WEAK_COST_LIMIT)
        self._recover(frame, matching)
        return matching

    def _consistency(self, frame: FrameContext, pairs: Pairs) -> FloatArray:
        """Return the agreement (K,), from -1/2 to 1/2, of the direction to the detection with that of the track."""
        last, detected = centres(self._table.last_boxes), centres(frame.detections.boxes)
        direction = unit(detected[pairs.columns] - last[pairs.rows])
        cosine = (direction * self._table.directions(self._span)[pairs.rows]).sum(axis=1)
        # 1/2 - |theta| / pi, where the angle theta is pi / 2 if one of the directions is unknown
        consistency: FloatArray = 0.5 - np.arccos(np.clip(cosine, -1, 1)) / np.pi
        return consistency

    def _recover(self, frame: FrameContext, matching: Matching) -> None:
        """Match what is left by the overlap with the last observations of tracks."""
        alive, strong = self._alive(frame), self._strong(frame)
        rows = np.nonzero(alive & matching.free_tracks)[0]
        columns = np.nonzero(strong & matching.free_detections)[0]
        table, detections = self._table, frame.detections
        near = overlapping_shapes(
            table.last_boxes[rows], table.shapes[rows], detections.boxes[columns], detections.shapes[columns]
        )
        pairs = Pairs(rows[near.rows], columns[near.columns], near.iou)
        matching.associate("recovered", alive, strong, pairs, 1 - pairs.iou, self._cost_limit)

    def _correct(self, frame: FrameContext, matching: Matching) -> None:
        rows, index = matching.pairs()
        again = ~frame.visible[rows]
        self._re_update(rows[again], frame.detections.boxes[index[again]])
        super()._correct(frame._replace(innovation=self._motion.innovation(self._table.states)), matching)

    def _re_update(self, rows: IntArray, boxes: FloatArray) -> None:
        """Predict hidden tracks `rows` (K,) anew, corrected on the straight way from the last observation to `boxes`.

        `boxes` (K, 4) are those of the detections in which the tracks are found again.
        """
        table = self._table
        gap, first, states = table.unseen[rows, None], table.last_boxes[rows], table.seen_states[rows]
        steps = np.clip(np.ceil(gap), 1, MOST_STEPS)
        for step in range(1, int(steps.max(initial=0))):
            active = steps[:, 0] > step
            # z(t) = z1 + (t - t1) / (t2 - t1) (z2 - z1)
            virtual = first[active] + step / steps[active] * (boxes - first)[active]
            later = self._motion.predict(states[active], (gap / steps)[active] * self._pace)
            states[active] = self._motion.update(later, self._motion.measure(virtual), self._motion.innovation(later))
        table.states[rows] = self._motion.predict(states, gap / steps * self._pace)


@dataclass
class ObservedTable(TrackTable):
    """`TrackTable` with the past observations of each track in two more columns.

    - `observed` f64 (N, K, 5): the boxes x1, y1, x2, y2 of the last K matched detections, in px of the present image,
      and their age in nominal frame periods; newest first, the oldest is repeated while there are fewer than K.
    - `seen_states` f64 (N, 5, 4): the estimates at the time of the newest one, see `trackers.kalman`.
    """

    columns: ClassVar[tuple[str, ...]] = (*COLUMNS, "observed", "seen_states")

    observed: FloatArray = field(default_factory=lambda: np.zeros((0, 2, 5)))
    seen_states: States = field(default_factory=lambda: no_states(0))

    @property
    def last_boxes(self) -> FloatArray:
        """The newest observations (N, 4)."""
        return self.observed[:, 0, :AGE]

    def directions(self, span: float) -> FloatArray:
        """Return the directions (N, 2) of tracks, of unit length, zero if unknown.

        They lead to the newest observation from the one `span` nominal frame periods, to half a period, before it, or
        from the oldest one if there is none as old.
        """
        older = self.observed[:, :, AGE] - self.observed[:, :1, AGE]
        before = np.clip((older < span - 0.5).sum(axis=1), 1, self.observed.shape[1] - 1)
        past = self.observed[np.arange(len(self)), before, :AGE]
        return unit(centres(self.last_boxes) - centres(past))

    def age(self, elapsed: float) -> None:
        """Begin a frame `elapsed` nominal periods later, in which no track is matched yet."""
        super().age(elapsed)
        self.observed[:, :, AGE] += elapsed

    def warp(self, affine: FloatArray) -> None:
        """Move the observations by `affine` (2, 3), in px: centres are transformed, sizes are scaled only."""
        boxes = self.observed[:, :, :AGE]
        half = (boxes[..., 2:] - boxes[..., :2]) / 2 * np.sqrt(abs(np.linalg.det(affine[:, :2])))
        centre = centres(boxes) @ affine[:, :2].T + affine[:, 2]
        self.observed[:, :, :AGE] = np.concatenate([centre - half, centre + half], axis=2)

    def support(self, rows: IntArray, detections: Observations, index: IntArray) -> None:
        """Record the matched detections as `TrackTable` does, and as the newest observations."""
        super().support(rows, detections, index)
        self.seen_states[rows] = self.states[rows]
        self.observed[rows, 1:] = self.observed[rows, :-1]
        self.observed[rows, 0, :AGE] = detections.boxes[index]
        self.observed[rows, 0, AGE] = 0
        first = rows[self.hits[rows] == 1]
        self.observed[first, 1:] = self.observed[first, :1]


def centres(boxes: FloatArray) -> FloatArray:
    """Return the centres (..., 2) of `boxes` (..., 4) x1, y1, x2, y2."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2
