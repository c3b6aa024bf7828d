"""The cheapest pairing of tracks and detections under a cost limit.

Pairs that are too expensive link nothing, so the problem falls apart into groups that are solved one by one: the work
grows with the crowding, not with the square of the number of objects.
"""

from __future__ import annotations

from collections.abc import Iterator

import lap
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trackers.rows import FloatArray, IntArray


def assign(cost: FloatArray, limit: float) -> tuple[IntArray, IntArray]:
    """Return the rows and columns, i64 (K,) each and rows ascending, of the best pairing of `cost` (N, M).

    Only pairs that cost less than `limit` are made; of all such pairings it is one that minimises
    ``sum(cost of pairs) + limit * (rows and columns left alone) / 2``.
    """
    rows, columns = np.nonzero(cost < limit)
    rivals = np.bincount(rows, minlength=cost.shape[0])[rows] + np.bincount(columns, minlength=cost.shape[1])[columns]
    alone = rivals == 2
    pairs = [(rows[alone], columns[alone])]
    pairs += [_solve(cost, *group, limit) for group in _groups(rows[~alone], columns[~alone], cost.shape)]
    paired_rows, paired_columns = (np.concatenate(side) for side in zip(*pairs, strict=True))
    order = np.argsort(paired_rows)
    return paired_rows[order], paired_columns[order]


def _groups(rows: IntArray, columns: IntArray, shape: tuple[int, ...]) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield the rows and columns of every connected component of the graph with edges (row, column)."""
    if not len(rows):
        return
    nodes = sum(shape)
    graph = coo_array((np.ones(len(rows)), (rows, columns + shape[0])), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    order = np.argsort(component[rows], kind="stable")
    borders = np.nonzero(np.diff(component[rows[order]]))[0] + 1
    for edges in np.split(order, borders):
        yield np.unique(rows[edges]), np.unique(columns[edges])


def _solve(cost: FloatArray, rows: IntArray, columns: IntArray, limit: float) -> tuple[IntArray, IntArray]:
    """Return the best pairs within one component.

    A pair at the limit costs as much as none: costs are cut there, the dense problem is solved, such pairs are dropped.
    """
    dense = np.minimum(cost[np.ix_(rows, columns)], limit)
    _, column_of_row, _ = lap.lapjv(dense, extend_cost=True)
    row = np.nonzero(column_of_row >= 0)[0]
    column = column_of_row[row]
    kept = dense[row, column] < limit
    return rows[row[kept]], columns[column[kept]]
