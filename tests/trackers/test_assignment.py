"""The grouped assignment against the dense optimum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal
from scipy.optimize import linear_sum_assignment

from trackers.assignment import assign
from trackers.rows import FloatArray, IntArray

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12)


def pairing(cost: FloatArray, limit: float) -> tuple[IntArray, IntArray]:
    """Return the rows and columns that `assign` picks from the pairs of a dense `cost` below `limit`."""
    rows, columns = np.nonzero(cost < limit)
    chosen = assign(rows, columns, cost[rows, columns], limit)
    return rows[chosen], columns[chosen]


def gain(cost: FloatArray, rows: IntArray, columns: IntArray, limit: float) -> float:
    return float((limit - cost[rows, columns]).sum())


@settings(max_examples=300, deadline=None)
@given(
    cost=hnp.arrays(np.float64, SHAPES, elements=st.floats(0, 1)),
    sparse=st.floats(0, 1),
    limit=st.floats(0.1, 1),
    seed=st.integers(0, 1000),
)
def test_equals_the_dense_optimum(cost: FloatArray, sparse: float, limit: float, seed: int) -> None:
    cost[np.random.default_rng(seed).random(cost.shape) < sparse] = 1.0
    rows, columns = pairing(cost, limit)
    assert len(set(rows)) == len(rows)
    assert len(set(columns)) == len(columns)
    assert (cost[rows, columns] < limit).all()
    assert (np.diff(rows) > 0).all()
    loss = np.minimum(cost - limit, 0)
    best = -loss[linear_sum_assignment(loss)].sum()
    assert gain(cost, rows, columns, limit) == pytest.approx(best, rel=1e-9, abs=1e-9)


def test_the_whole_is_cheaper_than_each_for_itself() -> None:
    # Track 0 would take detection 0 (0.1), which leaves track 1 with nothing; together 0-1 and 1-0 are better.
    cost = np.array([[0.1, 0.2, 9], [0.15, 9, 9], [9, 9, 0.4]])
    rows, columns = pairing(cost, 0.8)
    assert_array_equal(rows, [0, 1, 2])
    assert_array_equal(columns, [1, 0, 2])


def test_a_pair_at_the_limit_is_refused() -> None:
    rows, columns = pairing(np.array([[0.8, 0.7], [0.9, 0.8]]), 0.8)
    assert_array_equal(rows, [0])
    assert_array_equal(columns, [1])


def test_a_crowd_of_many_blocks_equals_the_dense_optimum() -> None:
    """Groups of up to six in a line of 200, so that several blocks of groups are solved."""
    random = np.random.default_rng(3)
    cost = np.ones((200, 200))
    for first in range(0, 198, 6):
        cost[first : first + 6, first : first + 6] = random.random((6, 6))
    rows, columns = pairing(cost, 0.9)
    loss = np.minimum(cost - 0.9, 0)
    assert gain(cost, rows, columns, 0.9) == pytest.approx(-loss[linear_sum_assignment(loss)].sum())
