"""The cheapest pairing of rows and columns, of which few can be paired."""

from __future__ import annotations

import lap
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from trackers.acceleration import accelerated
from trackers.types import BoolArray, FloatArray, IntArray

MOST_CONTESTED = 2**18  # pairs that are solved for the optimum
DENSE_SIDE = 192  # rows or columns up to which LAPJV is faster than the sparse solver, even at 14 pairs in a row


def assign(rows: IntArray, columns: IntArray, cost: FloatArray, limit: float) -> BoolArray:
    """Return which of the pairs (K,) of `rows` and `columns` make the best pairing.

    The pairing uses every row and column at most once and minimises
    ``sum(cost of pairs) + limit * (unpaired rows and columns) / 2``; a choice between equally good pairings depends on
    the order of the pairs only. Pairs must be distinct and cost less than `limit`; no cost or limit may exceed 1000 in
    magnitude.

    Most pairs share neither their row nor their column with another pair and need no decision. The others are solved
    as one dense problem if they are few. Of many, most are better than what their rows and columns could have instead;
    what is left is solved as a dense problem, or a sparse one. Only of more than `MOST_CONTESTED`, for which solvers
    take minutes, the cheapest pair is made first, then the cheapest that is left, and so on.
    """
    chosen = unrivalled(rows, columns)
    contested = (~chosen).nonzero()[0]
    if len(contested):
        row_count, row = _renumbered(rows[contested])
        column_count, column = _renumbered(columns[contested])
        solve = _dense if max(row_count, column_count) <= DENSE_SIDE else _reduced
        solve = _greedy if len(contested) > MOST_CONTESTED else solve
        chosen[contested] = solve(row, column, (row_count, column_count), cost[contested], limit)
    return chosen


@accelerated
def unrivalled(rows: IntArray, columns: IntArray) -> BoolArray:
    """Return which pairs (K,) of `rows` and `columns` share neither with another pair."""
    alone: BoolArray = (np.bincount(rows).take(rows) == 1) & (np.bincount(columns).take(columns) == 1)
    return alone


def _reduced(row: IntArray, column: IntArray, shape: tuple[int, int], cost: FloatArray, limit: float) -> BoolArray:
    """Solve `assign`: the evident pairs first, then what is left."""
    chosen = _evident(row, column, shape, limit - cost)
    taken = np.zeros(shape[0], bool), np.zeros(shape[1], bool)
    taken[0][row[chosen]] = taken[1][column[chosen]] = True
    left = (~(taken[0].take(row) | taken[1].take(column))).nonzero()[0]
    if len(left):
        row_count, row = _renumbered(row[left])
        column_count, column = _renumbered(column[left])
        solve = _dense if max(row_count, column_count) <= DENSE_SIDE else _sparse
        chosen[left] = solve(row, column, (row_count, column_count), cost[left], limit)
    return chosen


def _evident(row: IntArray, column: IntArray, shape: tuple[int, int], gain: FloatArray) -> BoolArray:
    """Return which of the pairs (K,) gain more than the best other pair of their row and of their column together.

    A pairing without such a pair has at most one other in its row and one in its column, and gains less with them.
    """
    chosen, rivals = np.ones(len(gain), bool), np.zeros(len(gain))
    order = gain.argsort(kind="stable")
    for line, count in ((row, shape[0]), (column, shape[1])):
        # Of the values that are written to one place the last one stays, which is that of the best pair.
        best, second = np.zeros(count, np.int64), np.zeros(count)
        best[line.take(order)] = order
        is_best = best.take(line) == np.arange(len(line))
        others = order[~is_best.take(order)]
        second[line.take(others)] = gain.take(others)
        chosen &= is_best
        rivals += second.take(line)
    return chosen & (gain > rivals)


def _renumbered(indices: IntArray) -> tuple[int, IntArray]:
    """Return how many different `indices` (K,) there are, and the indices renumbered from 0 without gaps."""
    counts = np.bincount(indices)
    present = counts.nonzero()[0]
    counts[present] = np.arange(len(present))
    return len(present), counts.take(indices)


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
