"""How unlike tracks and detections are. Only pairs of boxes that overlap are ever looked at.

The others cannot be matched, and there are many more of them: the work grows with the crowding, not with the square of
the number of objects.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trackers.types import BoolArray, FloatArray, IntArray


class Pairs(NamedTuple):
    """Overlapping boxes of two sets, ordered by row.

    `rows`, `columns` i64 (K,) into the first and the second set; `iou` f64 (K,), above 0.
    """

    rows: IntArray
    columns: IntArray
    iou: FloatArray

    def select(self, which: BoolArray | IntArray) -> Pairs:
        """Return the pairs `which`."""
        return Pairs(self.rows[which], self.columns[which], self.iou[which])


def overlapping(boxes: FloatArray, others: FloatArray, margins: FloatArray | None = None) -> Pairs:
    """Return all pairs of `boxes` (N, 4) and `others` (M, 4), x1, y1, x2, y2, with a common area.

    `margins` (N, 2), in px along x and y, are added on all sides of each of `boxes` and of the boxes it is compared
    with (buffered IoU, arXiv 2211.14317).
    """
    ours, theirs = np.ascontiguousarray(boxes.T), np.ascontiguousarray(others.T)
    sides = np.zeros((2, len(boxes))) if margins is None else 2 * margins.T
    rows, columns = _neighbours(ours[:2] - sides, ours[2:] + sides, theirs[:2], theirs[2:])
    a, b, side = ours[:, rows], theirs[:, columns], sides[:, rows]
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + side
    near = np.nonzero((width > 0) & (height > 0))[0]
    # IoU = |A & B| / (|A| + |B| - |A & B|)
    overlap = (width * height)[near]
    both = (_area(a, side) + _area(b, side))[near]
    return Pairs(rows[near], columns[near], overlap / (both - overlap))


def _area(boxes: FloatArray, sides: FloatArray) -> FloatArray:
    """Return the areas (K,) of `boxes` (4, K), longer by `sides` (2, K)."""
    area: FloatArray = (boxes[2] - boxes[0] + sides[0]) * (boxes[3] - boxes[1] + sides[1])
    return area


def _neighbours(
    begin: FloatArray, end: FloatArray, others_begin: FloatArray, others_end: FloatArray
) -> tuple[IntArray, IntArray]:
    """Return all pairs that may meet of boxes from `begin` (2, N) to `end` (2, N) and others: a sweep along x."""
    order = np.argsort(others_begin[0], kind="stable")
    left = others_begin[0, order]
    widest = float((others_end[0] - others_begin[0]).max(initial=0))
    # What begins more than the widest span before ours ends before it.
    first = np.searchsorted(left, begin[0] - widest, "left")
    counts = np.maximum(np.searchsorted(left, end[0], "left") - first, 0)
    rows = np.repeat(np.arange(len(counts)), counts)
    columns = order[np.arange(len(rows)) + np.repeat(first - np.cumsum(counts) + counts, counts)]
    meet = np.nonzero((begin[1, rows] < others_end[1, columns]) & (others_begin[1, columns] < end[1, rows]))[0]
    return rows[meet], columns[meet]
