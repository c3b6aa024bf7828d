"""Association of tracks and detections: pairs of boxes that overlap, and matching in stages.

`overlapping` finds the pairs of boxes that overlap. The many others cannot be matched by overlap: the work grows with
the crowding, not with the square of the number of objects.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trackers.assignment import assign
from trackers.crowds import crowded_pairs
from trackers.rotated import placed, rotated_iou, widened
from trackers.types import Appearance, BoolArray, FloatArray, IntArray, Observations

MOST_COMPARED = 2**11  # pairs of boxes up to which comparing each with each is faster than a sweep
MOST_COMPARISONS = 2**21  # of a sweep; more boxes are compared by `trackers.crowds`


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
    ours, theirs = np.ascontiguousarray(boxes.T), np.ascontiguousarray(others.T)
    sides = np.zeros((2, len(boxes))) if margins is None else 2 * margins.T
    meeting = _compared if len(boxes) * len(others) <= MOST_COMPARED else _swept
    rows, columns = meeting(ours[:2] - sides, ours[2:] + sides, theirs[:2], theirs[2:])
    a, b, side = ours.take(rows, axis=1), theirs.take(columns, axis=1), sides.take(rows, axis=1)
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + side
    near = ((width > 0) & (height > 0)).nonzero()[0]
    # IoU = |A & B| / (|A| + |B| - |A & B|)
    overlap, both = (width * height)[near], (_area(a, side) + _area(b, side))[near]
    return Pairs(rows[near], columns[near], overlap / (both - overlap))


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
    widths, heights = boxes[2:] - boxes[:2] + sides
    area: FloatArray = widths * heights
    return area


def _compared(
    begin: FloatArray, end: FloatArray, others_begin: FloatArray, others_end: FloatArray
) -> tuple[IntArray, IntArray]:
    """Return rows and columns of all pairs of boxes that may overlap, found by comparing each with each.

    Boxes reach from `begin` (2, N) to `end` (2, N), the others from `others_begin` (2, M) to `others_end` (2, M).
    """
    meet = (begin[:, :, None] < others_end[:, None]) & (others_begin[:, None] < end[:, :, None])
    rows, columns = (meet[0] & meet[1]).nonzero()
    return rows, columns


def _swept(
    begin: FloatArray, end: FloatArray, others_begin: FloatArray, others_end: FloatArray
) -> tuple[IntArray, IntArray]:
    """Return what `_compared` does, in another order of the columns, found by a sweep along x."""
    order = others_begin[0].argsort(kind="stable")
    left = others_begin[0].take(order)
    widest = float((others_end[0] - others_begin[0]).max(initial=0))
    # A box that begins further to the left of ours than the widest box is wide ends before ours begins.
    first = left.searchsorted(begin[0] - widest)
    counts = np.maximum(left.searchsorted(end[0]) - first, 0)
    if counts.sum() > MOST_COMPARISONS:
        rows, columns = crowded_pairs((begin, end), (others_begin, others_end))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        sweep = np.lexsort((place[columns], rows))
        return rows[sweep], columns[sweep]
    rows = np.arange(len(counts)).repeat(counts)
    columns = order.take(np.arange(len(rows)) + (first - counts.cumsum() + counts).take(rows))
    top, bottom = begin[1].take(rows), end[1].take(rows)
    meet = ((top < others_end[1].take(columns)) & (others_begin[1].take(columns) < bottom)).nonzero()[0]
    return rows.take(meet), columns.take(meet)


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


class Matching:
    """The matches of N tracks and M detections, found in one or more stages.

    `detection_of` i64 (N,) holds the row of each track's detection and `track_of` i64 (M,) that of each detection's
    track, -1 for none.
    """

    def __init__(self, tracks: int, detections: int) -> None:
        self.detection_of: IntArray = np.empty(tracks, np.int64)
        self.track_of: IntArray = np.empty(detections, np.int64)
        self.detection_of.fill(-1)
        self.track_of.fill(-1)
        self._stages: list[tuple[Association, BoolArray]] = []  # with all pairs, and which of them are free

    @property
    def associations(self) -> list[Association]:
        """The stages in order."""
        return [
            Association(name, pairs.select(free), cost[free], limit, chosen[free])
            for (name, pairs, cost, limit, chosen), free in self._stages
        ]

    def associate(
        self, name: str, tracks: BoolArray, detections: BoolArray, pairs: Pairs, cost: FloatArray, limit: float
    ) -> None:
        """Match the unmatched among `tracks` (N,) and `detections` (M,), masks, as `assign` does.

        `pairs` (K,) are the candidates; those whose `cost` f64 (K,) is below `limit` are admitted. `name` identifies
        the stage in `associations`.
        """
        free, chosen = np.zeros((2, len(cost)), bool)
        if np.count_nonzero(tracks) and np.count_nonzero(detections):
            tracks, detections = tracks & (self.detection_of < 0), detections & (self.track_of < 0)
            free = tracks.take(pairs.rows) & detections.take(pairs.columns)
        admitted = (free & (cost < limit)).nonzero()[0]
        if len(admitted):
            rows, columns = pairs.rows.take(admitted), pairs.columns.take(admitted)
            chosen[admitted] = assign(rows, columns, cost.take(admitted), limit)
        self._add(Association(name, pairs, cost, limit, chosen), free)

    def add(self, association: Association) -> None:
        """Match the chosen pairs of a stage that was decided elsewhere, none of them matched before."""
        self._add(association, np.ones(len(association.chosen), bool))

    def _add(self, stage: Association, free: BoolArray) -> None:
        chosen = stage.chosen.nonzero()[0]
        if len(chosen):
            rows, columns = stage.pairs.rows.take(chosen), stage.pairs.columns.take(chosen)
            self.detection_of[rows] = columns
            self.track_of[columns] = rows
        self._stages.append((stage, free))

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Return the matched tracks and their detections, i64 (K,) each, tracks ascending."""
        rows = (self.detection_of >= 0).nonzero()[0]
        return rows, self.detection_of.take(rows)


class FrameContext(NamedTuple):
    """The inputs of the association in one frame, with N tracks.

    - `detections`: those of the frame.
    - `measured` f64 (M, 4): their boxes as the motion filter describes them.
    - `visible` bool (N,): the tracks that were matched in the last frame.
    - `boxes` f64 (N, 4): the predicted boxes of the tracks, x1, y1, x2, y2 in px.
    - `innovation` f64 (N, 4): the variance of the difference between a measurement and the predicted one.
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
    pairs: Pairs
    appearance: Appearance | None
    image_size: tuple[float, float]
    elapsed: float
