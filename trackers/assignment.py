"""The cheapest pairing of tracks and detections under a cost limit.

Only pairs below the limit are given, so the problem falls apart into groups that share no row and no column. Most are a
single row or a single column with its candidates, of which the cheapest wins; the others are solved as dense problems.
"""

from __future__ import annotations

import lap
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trackers.rows import BoolArray, FloatArray, IntArray

BLOCK_ROWS = 24  # groups are solved together up to this many rows: a call costs more than so small a problem


def assign(rows: IntArray, columns: IntArray, cost: FloatArray, limit: float) -> BoolArray:
    """Return which of the pairs (K,) of `rows` and `columns` make the best pairing.

    A pair is given at most once and costs less than `limit`. The pairing uses every row and column at most once and
    minimises ``sum(cost of pairs) + limit * (rows and columns left alone) / 2``; of pairings that are equally good the
    answer depends on the order of the pairs alone.
    """
    in_row, in_column = np.bincount(rows)[rows], np.bincount(columns)[columns]
    chosen = (in_row == 1) & (in_column == 1)
    contested = np.nonzero(~chosen)[0]
    if len(contested):
        chosen[contested[_contested(rows[contested], columns[contested], cost[contested], limit)]] = True
    return np.asarray(chosen)


def _contested(rows: IntArray, columns: IntArray, cost: FloatArray, limit: float) -> IntArray:
    """Return the indices of the best pairs where rows or columns compete."""
    rows, columns = (np.unique(side, return_inverse=True)[1] for side in (rows, columns))
    row_count, column_count = int(rows.max()) + 1, int(columns.max()) + 1
    graph = coo_array((np.ones(len(rows)), (rows, columns + row_count)), shape=(row_count + column_count,) * 2)
    groups, group = connected_components(graph, directed=False)
    group_rows = np.bincount(group[:row_count], minlength=groups)
    single = (group_rows == 1) | (np.bincount(group[row_count:], minlength=groups) == 1)
    order = np.lexsort((cost, group[rows]))
    cheapest = order[np.unique(group[rows][order], return_index=True)[1]]
    found = [cheapest[single[group[rows[cheapest]]]]]
    # Groups side by side in one block share no pair, so that solving the block solves them.
    block = np.cumsum(np.where(single, 0, group_rows)) // BLOCK_ROWS
    block_of_pair = np.where(single[group[rows]], -1, block[group[rows]])
    for number in np.unique(block_of_pair[block_of_pair >= 0]):
        pairs = np.nonzero(block_of_pair == number)[0]
        found.append(pairs[_solve(rows[pairs], columns[pairs], cost[pairs], limit)])
    return np.concatenate(found)


def _solve(rows: IntArray, columns: IntArray, cost: FloatArray, limit: float) -> BoolArray:
    """Return which pairs are best, from a dense problem in which no pair costs as much as one at the limit."""
    (row_names, row), (column_names, column) = (np.unique(side, return_inverse=True) for side in (rows, columns))
    dense = np.full((len(row_names), len(column_names)), limit)
    dense[row, column] = cost
    _, column_of_row, _ = lap.lapjv(dense, extend_cost=True)
    chosen: BoolArray = column_of_row[row] == column
    return chosen
