"""Association of tracks and detections: pairs of boxes that overlap, the cheapest pairing, matching in stages.

`overlapping` finds the pairs of boxes that overlap. The many others cannot be matched by overlap: the work grows with
the crowding, not with the square of the number of objects.
"""

from __future__ import annotations

from typing import NamedTuple

import lap
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from trackers.crowds import crowded_pairs
from trackers.rotated import placed, rotated_iou, widened
from trackers.types import BoolArray, FloatArray, IntArray

MOST_COMPARISONS = 2**21  # of a sweep; more boxes are compared by `trackers.crowds`
MOST_CONTESTED = 2**18  # pairs that are solved for the optimum
DENSE_SIDE = 192  # rows or columns up to which LAPJV is faster than the sparse solver, even at 14 pairs in a row


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
    rows, columns = _neighbours(ours[:2] - sides, ours[2:] + sides, theirs[:2], theirs[2:])
    a, b, side = ours[:, rows], theirs[:, columns], sides[:, rows]
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + side
    near = np.nonzero((width > 0) & (height > 0))[0]
    # IoU = |A & B| / (|A| + |B| - |A & B|)
    overlap = (width * height)[near]
    both = (_area(a, side) + _area(b, side))[near]
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
    area: FloatArray = (boxes[2] - boxes[0] + sides[0]) * (boxes[3] - boxes[1] + sides[1])
    return area


def _neighbours(
    begin: FloatArray, end: FloatArray, others_begin: FloatArray, others_end: FloatArray
) -> tuple[IntArray, IntArray]:
    """Return rows and columns of all pairs of boxes that may overlap, found by a sweep along x.

    Boxes reach from `begin` (2, N) to `end` (2, N), the others from `others_begin` (2, M) to `others_end` (2, M).
    """
    order = np.argsort(others_begin[0], kind="stable")
    left = others_begin[0, order]
    widest = float((others_end[0] - others_begin[0]).max(initial=0))
    # A box that begins further to the left of ours than the widest box is wide ends before ours begins.
    first = np.searchsorted(left, begin[0] - widest, "left")
    counts = np.maximum(np.searchsorted(left, end[0], "left") - first, 0)
    if counts.sum() > MOST_COMPARISONS:
        rows, columns = crowded_pairs((begin, end), (others_begin, others_end))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        sweep = np.lexsort((place[columns], rows))
        return rows[sweep], columns[sweep]
    rows = np.repeat(np.arange(len(counts)), counts)
    columns = order[np.arange(len(rows)) + np.repeat(first - np.cumsum(counts) + counts, counts)]
    meet = np.nonzero((begin[1, rows] < others_end[1, columns]) & (others_begin[1, columns] < end[1, rows]))[0]
    return rows[meet], columns[meet]


def assign(rows: IntArray, columns: IntArray, cost: FloatArray, limit: float) -> BoolArray:
    """Return which of the pairs (K,) of `rows` and `columns` make the best pairing.

    The pairing uses every row and column at most once and minimises
    ``sum(cost of pairs) + limit * (unpaired rows and columns) / 2``; a choice between equally good pairings depends on
    the order of the pairs only. Pairs must be distinct and cost less than `limit`; no cost or limit may exceed 1000 in
    magnitude.

    Most pairs share neither their row nor their column with another pair and need no decision. The others are solved
    as one dense problem if they are few, and as one sparse problem otherwise. Only of more than `MOST_CONTESTED`, for
    which solvers take minutes, the cheapest pair is made first, then the cheapest that is left, and so on.
    """
    chosen = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    contested = np.nonzero(~chosen)[0]
    if len(contested):
        row_count, row = _renumbered(rows[contested])
        column_count, column = _renumbered(columns[contested])
        solve = _dense if max(row_count, column_count) <= DENSE_SIDE else _sparse
        solve = _greedy if len(contested) > MOST_CONTESTED else solve
        chosen[contested] = solve(row, column, (row_count, column_count), cost[contested], limit)
    return np.asarray(chosen)


def _renumbered(indices: IntArray) -> tuple[int, IntArray]:
    """Return how many different `indices` (K,) there are, and the indices renumbered from 0 without gaps."""
    present = np.bincount(indices) > 0
    numbers = np.cumsum(present) - 1
    return int(numbers[-1]) + 1, numbers[indices]


def _dense(row: IntArray, column: IntArray, shape: tuple[int, int], cost: FloatArray, limit: float) -> BoolArray:
    """Solve `assign` by LAPJV on a matrix in which combinations that are no pair cost `limit`.

    LAPJV (Jonker, Volgenant: A shortest augmenting path algorithm for dense and sparse linear assignment problems,
    Computing 38, 1987) needs a square matrix. The rows added to make it square cost 0 in every column, which changes no
    decision.
    """
    if shape[0] > shape[1]:  # adding columns instead of rows would take more time
        return _dense(column, row, shape[::-1], cost, limit)
    # lap writes outside an empty matrix and takes 1e6 for infinity: neither occurs here, even in sums of these costs.
    matrix = np.zeros((shape[1], shape[1]))
    matrix[: shape[0]] = limit
    matrix[row, column] = cost
    column_of_row, _ = lap.lapjv(matrix, return_cost=False)
    chosen: BoolArray = column_of_row[row] == column
    return chosen


def _sparse(row: IntArray, column: IntArray, shape: tuple[int, int], cost: FloatArray, limit: float) -> BoolArray:
    """Solve `assign` by SciPy on a graph in which every row can also take a column of its own at the cost `limit`."""
    alone = np.arange(shape[0])
    # Less limit + 1 each, a constant in a full matching, which takes one pair per row: no weight is 0 then.
    weights = np.concatenate([cost - limit - 1, np.full(len(alone), -1.0)])
    ends = np.concatenate([row, alone]), np.concatenate([column, shape[1] + alone])
    graph = coo_array((weights, ends), shape=(shape[0], shape[1] + shape[0]))
    _, column_of_row = min_weight_full_bipartite_matching(graph)
    chosen: BoolArray = column_of_row[row] == column
    return chosen


def _greedy(row: IntArray, column: IntArray, shape: tuple[int, int], cost: FloatArray, limit: float) -> BoolArray:
    """Return the pairs that are the cheapest of those which no cheaper one excludes; the first of equal ones."""
    chosen = np.zeros(len(cost), bool)
    row_taken, column_taken = bytearray(shape[0]), bytearray(shape[1])
    order = np.argsort(cost, kind="stable")
    for pair, i, j in zip(order.tolist(), row[order].tolist(), column[order].tolist(), strict=True):
        if not (row_taken[i] or column_taken[j]):
            row_taken[i] = column_taken[j] = chosen[pair] = True
    return chosen


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
    track, -1 for none; `associations` lists the stages in order.
    """

    def __init__(self, tracks: int, detections: int) -> None:
        self.detection_of: IntArray = np.full(tracks, -1)
        self.track_of: IntArray = np.full(detections, -1)
        self.associations: list[Association] = []

    def associate(
        self, name: str, tracks: BoolArray, detections: BoolArray, pairs: Pairs, cost: FloatArray, limit: float
    ) -> None:
        """Match the unmatched among `tracks` (N,) and `detections` (M,), masks, as `assign` does.

        `pairs` (K,) are the candidates; those whose `cost` f64 (K,) is below `limit` are admitted. `name` identifies
        the stage in `associations`.
        """
        tracks, detections = tracks & (self.detection_of < 0), detections & (self.track_of < 0)
        free = np.nonzero(tracks[pairs.rows] & detections[pairs.columns])[0]
        pairs, cost = pairs.select(free), cost[free]
        chosen = np.zeros(len(free), bool)
        if len(admitted := np.nonzero(cost < limit)[0]):
            chosen[admitted] = assign(pairs.rows[admitted], pairs.columns[admitted], cost[admitted], limit)
        self.add(Association(name, pairs, cost, limit, chosen))

    def add(self, association: Association) -> None:
        """Match the chosen pairs of a stage that was decided elsewhere, none of them matched before."""
        pairs, chosen = association.pairs, association.chosen
        self.detection_of[pairs.rows[chosen]] = pairs.columns[chosen]
        self.track_of[pairs.columns[chosen]] = pairs.rows[chosen]
        self.associations.append(association)

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Return the matched tracks and their detections, i64 (K,) each, tracks ascending."""
        rows = np.nonzero(self.detection_of >= 0)[0]
        return rows, self.detection_of[rows]
