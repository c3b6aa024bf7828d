"""The cheapest pairing of tracks and detections under a cost limit.

Only pairs below the limit are given. Most have neither a track nor a detection in common with another pair, and need no
decision; what is left is solved as one dense problem when it is small and as one sparse problem when it is large.
"""

from __future__ import annotations

import lap
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from trackers.types import BoolArray, FloatArray, IntArray

DENSE_SIDE = 192  # rows or columns up to which LAPJV takes less time than the sparse solver, with 14 pairs in a row too


def assign(rows: IntArray, columns: IntArray, cost: FloatArray, limit: float) -> BoolArray:
    """Return which of the pairs (K,) of `rows` and `columns` make the best pairing.

    A pair is given at most once and costs less than `limit`; no cost or limit is above 1000 in magnitude. The pairing
    uses every row and column at most once and minimises
    ``sum(cost of pairs) + limit * (rows and columns left alone) / 2``; of pairings that are equally good the answer
    depends on the order of the pairs alone.
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
