"""The search for pairs of boxes that may overlap: few of all pairs do.

Boxes reach from `begin` f64 (2, N), left and top, to `end` (2, N), right and bottom, and the others from `others_begin`
(2, M) to `others_end` (2, M). Each function returns rows and columns i64 (K,) of the pairs, rows ascending.
"""

from __future__ import annotations

import numpy as np

from trackers.acceleration import accelerated
from trackers.crowds import crowded_pairs
from trackers.types import FloatArray, IntArray

MOST_COMPARED = 2**11  # pairs up to which comparing each box with each is faster than a sweep
MOST_SWEPT = 2**17  # and up to which a sweep is faster than a grid
MOST_COMPARISONS = 2**21  # in a grid; more boxes are compared by `trackers.crowds`
CELLS = 128  # along each axis, at most
CELLS_PER_BOX = np.array([[8.0], [2.0]])  # that the widest box covers in a line, and the tallest in a column
SMALLEST_CELL_PX = 1.0


def candidates(
    begin: FloatArray, end: FloatArray, others_begin: FloatArray, others_end: FloatArray
) -> tuple[IntArray, IntArray]:
    """Return pairs among which are all that overlap, but for thousands of boxes that lie on top of each other."""
    count = begin.shape[1] * others_begin.shape[1]
    search = compared if count <= MOST_COMPARED else swept if count <= MOST_SWEPT else _gridded
    return search(begin, end, others_begin, others_end)


@accelerated
def compared(
    begin: FloatArray, end: FloatArray, others_begin: FloatArray, others_end: FloatArray
) -> tuple[IntArray, IntArray]:
    """Find the pairs by comparing each box with each."""
    meet = (begin[:, :, None] < others_end[:, None]) & (others_begin[:, None] < end[:, :, None])
    rows, columns = (meet[0] & meet[1]).nonzero()
    return rows, columns


@accelerated
def swept(
    begin: FloatArray, end: FloatArray, others_begin: FloatArray, others_end: FloatArray
) -> tuple[IntArray, IntArray]:
    """Find the pairs by a sweep along x."""
    order = others_begin[0].argsort(kind="stable")
    left = others_begin[0].take(order)
    widest = float((others_end[0] - others_begin[0]).max(initial=0))
    # A box that begins further to the left of ours than the widest box is wide ends before ours begins.
    first = left.searchsorted(begin[0] - widest)
    counts = np.maximum(left.searchsorted(end[0]) - first, 0)
    columns = order.take(_runs(first, counts))
    meet = begin[1].repeat(counts) < others_end[1].take(columns)
    meet &= others_begin[1].take(columns) < end[1].repeat(counts)
    near = meet.nonzero()[0]
    return np.arange(len(counts)).repeat(counts).take(near), columns.take(near)


def _gridded(
    begin: FloatArray, end: FloatArray, others_begin: FloatArray, others_end: FloatArray
) -> tuple[IntArray, IntArray]:
    """Find the pairs by a grid: each box looks up the cells in which others may begin that meet it.

    In a line of the grid these cells are side by side, and so are the others when they are sorted by their cells.
    """
    largest = (others_end - others_begin).max(axis=1, initial=0, keepdims=True)
    corner = begin.min(axis=1, keepdims=True) - largest
    extent = end.max(axis=1, keepdims=True) - corner
    cell = np.maximum(np.maximum(largest / CELLS_PER_BOX, extent / CELLS), SMALLEST_CELL_PX)

    def cells(places: FloatArray) -> IntArray:
        inside: FloatArray = np.minimum(np.maximum((places - corner) / cell, 0), CELLS - 1)
        return inside.astype(np.int64)

    (left, top), (right, bottom), (x, y) = cells(begin - largest), cells(end), cells(others_begin)
    in_cell = CELLS * y + x
    order = in_cell.astype(np.int16).argsort(kind="stable")  # by radix, in a seventh of the time
    starts = np.bincount(in_cell + 1, minlength=CELLS**2 + 1).cumsum()  # of the cells, in that order
    heights = np.maximum(bottom - top + 1, 0)
    lines = CELLS * _runs(top, heights)
    first = starts.take(lines + left.repeat(heights))
    counts = np.maximum(starts.take(lines + right.repeat(heights) + 1) - first, 0)
    if counts.sum() > MOST_COMPARISONS:
        rows, columns = crowded_pairs((begin, end), (others_begin, others_end))
        ordered = np.lexsort((columns, rows))
        return rows[ordered], columns[ordered]
    columns = order.take(_runs(first, counts))
    meet = begin.repeat(heights, axis=1).repeat(counts, axis=1) < others_end.take(columns, axis=1)
    meet &= others_begin.take(columns, axis=1) < end.repeat(heights, axis=1).repeat(counts, axis=1)
    near = (meet[0] & meet[1]).nonzero()[0]
    return np.arange(len(heights)).repeat(heights).repeat(counts).take(near), columns.take(near)


def _runs(first: IntArray, counts: IntArray) -> IntArray:
    """Return runs of whole numbers, one after the other: from each of `first` (K,), K > 0, as many as in `counts`."""
    ends = counts.cumsum()
    runs: IntArray = np.arange(ends[-1]) + (first - ends + counts).repeat(counts)
    return runs
