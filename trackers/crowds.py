"""Pairs of boxes that may overlap among tens of thousands, in bounded time and memory.

A sweep along one axis compares boxes that share a column of the image, all of them if one box is wide enough. Here the
image is halved, again and again, until few boxes are left in a part. Where halving no longer separates them, because
they lie on top of each other, each box is compared with the most similar ones only.
"""

from __future__ import annotations

import numpy as np

from trackers.types import FloatArray, IntArray

CLOSE = 64  # boxes that a box is compared with where all lie on top of each other, and boxes in a part
LEAST_GAIN = 0.7  # of the comparisons must be left after halving, at most
Span = tuple[FloatArray, FloatArray]  # where boxes begin and end, left and top, right and bottom, (2, N) each


def crowded_pairs(boxes: Span, others: Span) -> tuple[IntArray, IntArray]:
    """Return rows and columns i64 (K,), in no order, of the pairs of N `boxes` and M `others` that may overlap.

    All that overlap are among them, but for boxes on top of more than `CLOSE` others. K is at most about
    ``2 * CLOSE * (N + M)``.
    """
    rows, columns = np.arange(boxes[0].shape[1]), np.arange(others[0].shape[1])
    everywhere = np.array([-np.inf, -np.inf]), np.array([np.inf, np.inf])
    parts, found = [(rows, columns, everywhere)], [(rows[:0], columns[:0])]
    while parts:
        rows, columns, region = parts.pop()
        halves = _halves(boxes, others, rows, columns, region) if len(rows) * len(columns) > CLOSE**2 else []
        parts += halves
        if not halves and len(rows) and len(columns):
            found.append(_meeting(boxes, others, _compared(boxes, others, rows, columns), region))
    return np.concatenate([row for row, _ in found]), np.concatenate([column for _, column in found])


def _halves(
    boxes: Span, others: Span, rows: IntArray, columns: IntArray, region: Span
) -> list[tuple[IntArray, IntArray, Span]]:
    """Return the two halves of a part with the boxes in each, none if that would spare too few comparisons."""
    best: list[tuple[IntArray, IntArray, Span]] = []
    least = LEAST_GAIN * len(rows) * len(columns)
    for axis in (0, 1):
        place = np.median(np.concatenate([boxes[0][axis, rows], others[0][axis, columns]]))
        low, high = region[0].copy(), region[1].copy()
        low[axis] = high[axis] = place
        halves = [
            (rows[boxes[0][axis, rows] < place], columns[others[0][axis, columns] < place], (region[0], high)),
            (rows[boxes[1][axis, rows] > place], columns[others[1][axis, columns] > place], (low, region[1])),
        ]
        comparisons = sum(len(row) * len(column) for row, column, _ in halves)
        if comparisons <= least:
            best, least = halves, comparisons
    return best


def _compared(boxes: Span, others: Span, rows: IntArray, columns: IntArray) -> tuple[IntArray, IntArray]:
    """Return all pairs of `rows` and `columns` of a part, or those of similar boxes if these are too many."""
    if len(rows) * len(columns) <= CLOSE**2:
        return np.repeat(rows, len(columns)), np.tile(columns, len(rows))
    # Sorted by place and size, similar boxes have similar ranks.
    rows, columns = rows[_similar_first(boxes, rows)], columns[_similar_first(others, columns)]
    width = min(CLOSE, len(columns))
    middle = np.arange(len(rows)) * len(columns) // len(rows)
    first = np.clip(middle - width // 2, 0, len(columns) - width)
    return np.repeat(rows, width), columns[(first[:, None] + np.arange(width)).ravel()]


def _similar_first(boxes: Span, rows: IntArray) -> IntArray:
    begin, end = boxes
    return np.lexsort((end[1, rows], end[0, rows], begin[1, rows], begin[0, rows]))


def _meeting(boxes: Span, others: Span, pairs: tuple[IntArray, IntArray], region: Span) -> tuple[IntArray, IntArray]:
    """Return those of `pairs` that meet, and whose common area begins in `region`: each is in one part only."""
    rows, columns = pairs
    meet = np.ones(len(rows), bool)
    for axis in (0, 1):
        begin = np.maximum(boxes[0][axis, rows], others[0][axis, columns])
        end = np.minimum(boxes[1][axis, rows], others[1][axis, columns])
        meet &= (begin < end) & (begin >= region[0][axis]) & (begin < region[1][axis])
    return rows[meet], columns[meet]
