"""OC-SORT: SORT that trusts what was observed more than what was predicted (arXiv 2203.14360)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from trackers.association import Matching, Pairs, overlapping
from trackers.kalman import States
from trackers.sort import Sort, SortConfig
from trackers.tracker import FrameContext
from trackers.tracks import COLUMNS, TrackTable
from trackers.types import BoolArray, FloatArray, IntArray, Observations, unit

WEAK_COST_LIMIT = 0.5  # weak detections must overlap by half (ByteTrack, arXiv 2110.06864)
MOST_STEPS = 60  # of a virtual trajectory: enough for two seconds period by period, longer steps do for more
AGE = 4  # the column of `observed` after the box


@dataclass
class ObservedTable(TrackTable):
    """The columns of `TrackTable` and two more, both in the present image.

    `observed` f64 (N, K, 5): the last K boxes x1, y1, x2, y2 in px that detections gave, and how many nominal frame
    periods ago; the newest comes first, the oldest is repeated while there are fewer. `seen_states` f64 (N, 5, 4): the
    estimate at the time of the newest, see `trackers.kalman`.
    """

    columns: ClassVar[tuple[str, ...]] = (*COLUMNS, "observed", "seen_states")

    observed: FloatArray = field(default_factory=lambda: np.zeros((0, 2, 5)))
    seen_states: States = field(default_factory=lambda: np.zeros((0, 5, 4)))

    @property
    def last_boxes(self) -> FloatArray:
        """The newest observation (N, 4)."""
        return self.observed[:, 0, :AGE]

    def directions(self, span: float) -> FloatArray:
        """Return where tracks headed, of unit length (N, 2): to the newest observation from one `span` periods older.

        Without one so old it is the oldest that counts; zero stands for unknown. Time is exact to half a period.
        """
        older = self.observed[:, :, AGE] - self.observed[:, :1, AGE]
        before = np.clip((older < span - 0.5).sum(axis=1), 1, self.observed.shape[1] - 1)
        past = self.observed[np.arange(len(self)), before, :AGE]
        return unit(centres(self.last_boxes) - centres(past))

    def age(self, elapsed: float) -> None:
        """Begin a frame `elapsed` nominal periods later."""
        TrackTable.age(self, elapsed)
        self.observed[:, :, AGE] += elapsed

    def warp(self, affine: FloatArray) -> None:
        """Take the observations to the image that `affine` (2, 3) leads to: centres move, sizes are scaled only."""
        boxes = self.observed[:, :, :AGE]
        half = (boxes[..., 2:] - boxes[..., :2]) / 2 * np.sqrt(abs(np.linalg.det(affine[:, :2])))
        centre = centres(boxes) @ affine[:, :2].T + affine[:, 2]
        self.observed[:, :, :AGE] = np.concatenate([centre - half, centre + half], axis=2)

    def support(self, rows: IntArray, found: Observations, index: IntArray, states: States) -> None:
        """Let detections support tracks, as `TrackTable` does, and remember them."""
        TrackTable.support(self, rows, found, index, states)
        self.seen_states[rows] = states
        self.observed[rows, 1:] = self.observed[rows, :-1]
        self.observed[rows, 0, :AGE] = found.boxes[index]
        self.observed[rows, 0, AGE] = 0
        first = rows[self.hits[rows] == 1]
        self.observed[first, 1:] = self.observed[first, :1]


def centres(boxes: FloatArray) -> FloatArray:
    """Return the centres (..., 2) of `boxes` (..., 4) x1, y1, x2, y2."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


@dataclass(frozen=True, slots=True)
class OcSortConfig(SortConfig):
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
        admitted = frame.pairs.select(frame.pairs.iou > 1 - self._cost_limit)
        cost = 1 - admitted.iou - self._momentum_weight * self._consistency(frame, admitted)
        matching.associate("strong", alive, strong, admitted, cost, self._cost_limit + self._momentum_weight / 2)
        weak = ~strong & (frame.found.scores >= self._weak_limit)
        matching.associate("weak", frame.visible, weak, frame.pairs, 1 - frame.pairs.iou, WEAK_COST_LIMIT)
        self._recover(frame, matching)
        return matching

    def _consistency(self, frame: FrameContext, pairs: Pairs) -> FloatArray:
        """Return from -1/2 to 1/2 (K,) how well the way to the detection agrees with that of the track."""
        last, found = centres(self._table.last_boxes), centres(frame.found.boxes)
        way = unit(found[pairs.columns] - last[pairs.rows])
        cosine = (way * self._table.directions(self._span)[pairs.rows]).sum(axis=1)
        # 1/2 - |theta| / pi, where the angle theta is pi / 2 if one of the ways is not known
        consistency: FloatArray = 0.5 - np.arccos(np.clip(cosine, -1, 1)) / np.pi
        return consistency

    def _recover(self, frame: FrameContext, matching: Matching) -> None:
        """Pair what is left where tracks were observed last."""
        alive, strong = self._alive(frame), self._strong(frame)
        rows = np.nonzero(alive & (matching.detection_of < 0))[0]
        columns = np.nonzero(strong & (matching.track_of < 0))[0]
        near = overlapping(self._table.last_boxes[rows], frame.found.boxes[columns])
        pairs = Pairs(rows[near.rows], columns[near.columns], near.iou)
        matching.associate("recovered", alive, strong, pairs, 1 - pairs.iou, self._cost_limit)

    def _correct(self, frame: FrameContext, matching: Matching) -> None:
        rows, index = matching.pairs()
        again = ~frame.visible[rows]
        self._re_update(rows[again], frame.found.boxes[index[again]])
        super()._correct(frame, matching)

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
