"""Association of tracks and detections: pairs of boxes that overlap, and matching in stages.

`overlapping` finds the pairs of boxes that overlap. The many others cannot be matched by overlap: the work grows with
the crowding, not with the square of the number of objects.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trackers.acceleration import accelerated
from trackers.assignment import assign
from trackers.candidates import candidates
from trackers.rotated import placed, rotated_iou, widened
from trackers.types import Appearance, BoolArray, FloatArray, IntArray, Observations

NOTHING: IntArray = np.zeros(0, np.int64)


class Pairs(NamedTuple):
    """Pairs of boxes out of two sets, ordered by row: candidates for a match.

    `rows`, `columns` i64 (K,) into the first and the second set; `iou` f64 (K,), 0 for boxes that
    do not overlap.
    """

    rows: IntArray
    columns: IntArray
    iou: FloatArray

    def select(self, which: BoolArray | IntArray) -> Pairs:
        """Return the pairs `which`, a mask or indices."""
        return Pairs(self.rows[which], self.columns[which], self.iou[which])


def overlapping(boxes: FloatArray, others: FloatArray, margins: FloatArray | None = None) -> Pairs:
    """Return all pairs of `boxes` (N, 4) and `others` (M, 4), x1, y1, x2, y2, that have an area in common.

    `margins` (N, 2), in px along x and y, widen each of `boxes`, and the boxes it is compared with, on all sides
    (buffered IoU, arXiv 2211.14317).
    """
    ours, theirs = boxes.T, others.T
    sides = np.zeros((2, len(boxes))) if margins is None else 2 * margins.T
    rows, columns = candidates(ours[:2] - sides, ours[2:] + sides, theirs[:2], theirs[2:])
    return Pairs(*overlaps(ours, theirs, sides, rows, columns))


@accelerated
def overlaps(
    ours: FloatArray, theirs: FloatArray, sides: FloatArray, rows: IntArray, columns: IntArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return those of the pairs (K,) of `rows`, ascending, and `columns` that have an area in common, and their IoU.

    `ours` (4, N) and `theirs` (4, M) are boxes, x1, y1, x2, y2. Width and height of both grow by `sides` (2, N).
    """
    counts = np.bincount(rows, minlength=ours.shape[1])  # to repeat takes a fifth of the time of taking by rows
    a, side, area = ours.repeat(counts, axis=1), sides.repeat(counts, axis=1), _area(ours, sides).repeat(counts)
    b = theirs.take(columns, axis=1)
    common = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + side
    width, height = common[0], common[1]
    near = (np.minimum(width, height) > 0).nonzero()[0]
    # IoU = |A & B| / (|A| + |B| - |A & B|)
    overlap, both = (width * height).take(near), (area + _area(b, side)).take(near)
    return rows.take(near), columns.take(near), overlap / (both - overlap)


def overlapping_shapes(
    boxes: FloatArray,
    shapes: FloatArray,
    others: FloatArray,
    other_shapes: FloatArray,
    margins: FloatArray | None = None,
) -> Pairs:
    """Return the pairs of `boxes` (N, 4) and `others` (M, 4) that have an area in common, as `overlapping` does.

    If they have `shapes` (N, 3) and (M, 3), the area is that of the rotated boxes; without, these are (N, 0).
    """
    pairs = overlapping(boxes, others, margins)
    if not shapes.shape[1] or not len(pairs.rows):
        return pairs
    ours, theirs = placed(boxes, shapes)[pairs.rows], placed(others, other_shapes)[pairs.columns]
    if margins is not None:
        ours, theirs = (widened(rotated, margins[pairs.rows]) for rotated in (ours, theirs))
    iou = rotated_iou(ours, theirs)
    return Pairs(pairs.rows, pairs.columns, iou).select(iou > 0)


def _area(boxes: FloatArray, sides: FloatArray) -> FloatArray:
    """Return the areas (K,) of `boxes` (4, K) whose width and height grow by `sides` (2, K)."""
    sizes = boxes[2:] - boxes[:2] + sides
    area: FloatArray = sizes[0] * sizes[1]
    return area


class Association(NamedTuple):
    """One stage of a matching and its result, kept to explain it.

    `pairs` (K,) are those that were free at this stage, with their `cost` f64 (K,); pairs that cost less than `limit`
    were admitted; `chosen` bool (K,) are those that were matched.
    """

    name: str
    pairs: Pairs
    cost: FloatArray
    limit: float
    chosen: BoolArray


class _Stage(NamedTuple):
    """One stage with all pairs (K,), which of them are `free`, a mask, and which are `chosen`, indices."""

    name: str
    pairs: Pairs
    cost: FloatArray
    limit: float
    free: BoolArray
    chosen: IntArray

    def association(self) -> Association:
        """Return the stage with its free pairs only."""
        chosen = np.zeros(len(self.free), bool)
        chosen[self.chosen] = True
        pairs, cost = self.pairs.select(self.free), self.cost[self.free]
        return Association(self.name, pairs, cost, self.limit, chosen[self.free])


class Matching:
    """The matches of N tracks and M detections, found in one or more stages.

    `detection_of` i64 (N,) holds the row of each track's detection, -1 for none; `free_tracks` (N,) and
    `free_detections` (M,) are masks of those without a match.
    """

    def __init__(self, tracks: int, detections: int) -> None:
        self.detection_of: IntArray = np.empty(tracks, np.int64)
        self.free_tracks: BoolArray = np.empty(tracks, bool)
        self.free_detections: BoolArray = np.empty(detections, bool)
        self.detection_of.fill(-1)
        self.free_tracks.fill(True)
        self.free_detections.fill(True)
        self._stages: list[_Stage] = []

    @property
    def track_of(self) -> IntArray:
        """The track of each detection, i64 (M,), -1 for none."""
        track_of = np.full(len(self.free_detections), -1)
        rows, columns = self.pairs()
        track_of[columns] = rows
        return track_of

    @property
    def associations(self) -> list[Association]:
        """The stages in order."""
        return [stage.association() for stage in self._stages]

    def associate(
        self, name: str, tracks: BoolArray, detections: BoolArray, pairs: Pairs, cost: FloatArray, limit: float
    ) -> None:
        """Match the unmatched among `tracks` (N,) and `detections` (M,), masks, as `assign` does.

        `pairs` (K,) are the candidates; those whose `cost` f64 (K,) is below `limit` are admitted. `name` identifies
        the stage in `associations`.
        """
        free, chosen = np.zeros(len(cost), bool), NOTHING
        if np.count_nonzero(detections) and np.count_nonzero(tracks):
            free = self.free(tracks, detections, pairs)
            chosen = (free & (cost < limit)).nonzero()[0]
        if len(chosen):
            chosen = chosen[assign(pairs.rows.take(chosen), pairs.columns.take(chosen), cost.take(chosen), limit)]
            self._match(pairs.rows.take(chosen), pairs.columns.take(chosen))
        self._stages.append(_Stage(name, pairs, cost, limit, free, chosen))

    def free(self, tracks: BoolArray, detections: BoolArray, pairs: Pairs) -> BoolArray:
        """Return which of `pairs` (K,) are of one of `tracks` (N,) and of `detections` (M,), masks, both unmatched."""
        tracks, detections = tracks & self.free_tracks, detections & self.free_detections
        free: BoolArray = tracks.take(pairs.rows) & detections.take(pairs.columns)
        return free

    def add(self, association: Association) -> None:
        """Match the chosen pairs of a stage that was decided elsewhere, none of them matched before."""
        name, pairs, cost, limit, chosen = association
        self._match(pairs.rows[chosen], pairs.columns[chosen])
        self._stages.append(_Stage(name, pairs, cost, limit, np.ones(len(chosen), bool), chosen.nonzero()[0]))

    def _match(self, rows: IntArray, columns: IntArray) -> None:
        self.detection_of[rows] = columns
        self.free_tracks[rows] = False
        self.free_detections[columns] = False

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Return the matched tracks and their detections, i64 (K,) each, tracks ascending."""
        rows = (~self.free_tracks).nonzero()[0]
        return rows, self.detection_of.take(rows)


class FrameContext(NamedTuple):
    """The inputs of the association in one frame, with N tracks.

    - `detections`: those of the frame.
    - `measured` f64 (M, 4): their boxes as the motion filter describes them.
    - `visible` bool (N,): the tracks that were matched in the last frame.
    - `boxes` f64 (N, 4): the predicted boxes of the tracks, x1, y1, x2, y2 in px.
    - `innovation` f64 (N, 4): the variance of the difference between a measurement and the predicted one.
    - `margins` f64 (N, 2): how far in px `boxes` were widened to find `pairs`, None for not at all.
    - `pairs`: all pairs of a track and a detection that overlap.
    - `appearance`: the features of the detections, None without.
    - `image_size`: width and height in px, infinite if unknown.
    - `elapsed`: nominal frame periods since the last frame.
    """

    detections: Observations
    measured: FloatArray
    visible: BoolArray
    boxes: FloatArray
    innovation: FloatArray
    margins: FloatArray | None
    pairs: Pairs
    appearance: Appearance | None
    image_size: tuple[float, float]
    elapsed: float
