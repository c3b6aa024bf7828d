"""Which detection belongs to which track: pairs of boxes that overlap, their cost, and the cheapest pairing.

Only pairs of boxes that overlap are ever looked at.
"""

from __future__ import annotations

from typing import NamedTuple

import lap
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from trackers.types import BoolArray, FloatArray, IntArray

DENSE_SIDE = 192  # rows or columns up to which LAPJV takes less time than the sparse solver, with 14 pairs in a row too


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


def assign(rows: IntArray, columns: IntArray, cost: FloatArray, limit: float) -> BoolArray:
    """Return which of the pairs (K,) of `rows` and `columns` make the best pairing.

    A pair is given at most once and costs less than `limit`; no cost or limit is above 1000 in magnitude. The pairing
    uses every row and column at most once and minimises
    ``sum(cost of pairs) + limit * (rows and columns left alone) / 2``; of pairings that are equally good the answer
    depends on the order of the pairs alone. Most pairs have neither a track nor a detection in common with another and
    need no decision; what is left is solved as one dense problem when it is small, as one sparse problem when large.
    """
    chosen = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    contested = np.nonzero(~chosen)[0]
    if len(contested):
        row_count, row = _numbered(rows[contested])
        column_count, column = _numbered(columns[contested])
        solve = _dense if max(row_count, column_count) <= DENSE_SIDE else _sparse
        chosen[contested] = solve(row, column, (row_count, column_count), cost[contested], limit)
    return np.asarray(chosen)


def _numbered(names: IntArray) -> tuple[int, IntArray]:
    """Return how many different `names` there are, and for each its number among them."""
    present = np.bincount(names) > 0
    numbers = np.cumsum(present) - 1
    return int(numbers[-1]) + 1, numbers[names]


def _dense(row: IntArray, column: IntArray, shape: tuple[int, int], cost: FloatArray, limit: float) -> BoolArray:
    """Return which pairs are best, from a matrix in which no pair costs as much as one at the limit.

    LAPJV (Jonker, Volgenant: A shortest augmenting path algorithm for dense and sparse linear assignment problems,
    Computing 38, 1987) wants a square. The rows that complete it cost 0 in every column, which changes no decision.
    """
    if shape[0] > shape[1]:  # columns that complete a square would take more time than rows
        return _dense(column, row, shape[::-1], cost, limit)
    # lap writes outside an empty matrix and takes 1e6 for infinity: neither occurs here, nor in sums of these costs.
    matrix = np.zeros((shape[1], shape[1]))
    matrix[: shape[0]] = limit
    matrix[row, column] = cost
    column_of_row, _ = lap.lapjv(matrix, return_cost=False)
    chosen: BoolArray = column_of_row[row] == column
    return chosen


def _sparse(row: IntArray, column: IntArray, shape: tuple[int, int], cost: FloatArray, limit: float) -> BoolArray:
    """Return which pairs are best, from a graph in which every row may also take a column of its own at the limit."""
    alone = np.arange(shape[0])
    weights = np.concatenate([cost - limit - 1, np.full(len(alone), -1.0)])  # of a full matching, less a constant
    ends = np.concatenate([row, alone]), np.concatenate([column, shape[1] + alone])
    graph = coo_array((weights, ends), shape=(shape[0], shape[1] + shape[0]))
    _, column_of_row = min_weight_full_bipartite_matching(graph)
    chosen: BoolArray = column_of_row[row] == column
    return chosen


class Association(NamedTuple):
    """One association, kept for whoever asks why: the `pairs` (K,) that were free for it, their `cost` f64 (K,), the
    `limit` that an admitted cost lies below, and which were `chosen` bool (K,)."""

    name: str
    pairs: Pairs
    cost: FloatArray
    limit: float
    chosen: BoolArray


class Matching:
    """The pairs found so far: `detection_of` i64 (N,) and `track_of` i64 (M,) hold the partner's row, -1 for none.

    `associations` lists what was decided, in order.
    """

    def __init__(self, tracks: int, detections: int) -> None:
        self.detection_of: IntArray = np.full(tracks, -1)
        self.track_of: IntArray = np.full(detections, -1)
        self.associations: list[Association] = []

    def associate(
        self, name: str, tracks: BoolArray, detections: BoolArray, pairs: Pairs, cost: FloatArray, limit: float
    ) -> None:
        """Pair what is still free among `tracks` (N,) and `detections` (M,) where `cost` (K,) is below `limit`."""
        tracks, detections = tracks & (self.detection_of < 0), detections & (self.track_of < 0)
        free = np.nonzero(tracks[pairs.rows] & detections[pairs.columns])[0]
        pairs, cost = pairs.select(free), cost[free]
        chosen = np.zeros(len(free), bool)
        if len(admitted := np.nonzero(cost < limit)[0]):
            chosen[admitted] = assign(pairs.rows[admitted], pairs.columns[admitted], cost[admitted], limit)
        self.detection_of[pairs.rows[chosen]] = pairs.columns[chosen]
        self.track_of[pairs.columns[chosen]] = pairs.rows[chosen]
        self.associations.append(Association(name, pairs, cost, limit, chosen))

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Return the matched tracks and their detections, i64 (K,) each, tracks ascending."""
        rows = np.nonzero(self.detection_of >= 0)[0]
        return rows, self.detection_of[rows]
