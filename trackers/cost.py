"""How unlike tracks and detections are. Only pairs of boxes that overlap are ever looked at.

The others cannot be matched, and there are many more of them: the work grows with the crowding, not with the square of
the number of objects.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trackers.rows import BoolArray, FloatArray, IntArray


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
    if margins is None:
        margins = np.zeros((len(boxes), 2))
    rows, columns = _neighbours(boxes[:, ::2] + 2 * margins[:, :1] * (-1, 1), others[:, ::2])
    a, b, (margin_x, margin_y) = boxes[rows].T, others[columns].T, 2 * margins[rows].T
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0]) + margin_x
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1]) + margin_y
    near = (width > 0) & (height > 0)
    # IoU = |A & B| / (|A| + |B| - |A & B|)
    overlap = (width * height)[near]
    areas = (a[2:] - a[:2] + (margin_x, margin_y)).prod(axis=0) + (b[2:] - b[:2] + (margin_x, margin_y)).prod(axis=0)
    return Pairs(rows[near], columns[near], overlap / (areas[near] - overlap))


def _neighbours(spans: FloatArray, others: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the pairs of `spans` (N, 2) and `others` (M, 2), left and right, that may meet: a sweep along x."""
    order = np.argsort(others[:, 0], kind="stable")
    left = others[order, 0]
    widest = float((others[:, 1] - others[:, 0]).max(initial=0))
    # What begins more than the widest span before ours ends before it.
    first = np.searchsorted(left, spans[:, 0] - widest, "left")
    counts = np.maximum(np.searchsorted(left, spans[:, 1], "right") - first, 0)
    rows = np.repeat(np.arange(len(spans)), counts)
    begins = np.cumsum(counts) - counts
    return rows, order[np.arange(len(rows)) + np.repeat(first - begins, counts)]
