"""Pairs of boxes, and the cheapest pairing of them."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linear_sum_assignment

from trackers import assignment
from trackers.assignment import assign
from trackers.association import Association, Matching, Pairs, overlapping
from trackers.types import BoolArray, FloatArray, IntArray

BOX = np.array([[0.0, 0, 10, 10]])


def test_overlap_by_hand() -> None:
    others = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [0, 0, 5, 5], [5, 5, 5, 9], [9, 9, 1, 1]])
    pairs = overlapping(BOX, others)
    assert dict(zip(pairs.columns.tolist(), pairs.iou.tolist(), strict=True)) == {0: 1, 1: 1 / 3, 3: 0.25}


def test_boxes_without_area_overlap_nothing_not_even_themselves() -> None:
    points = np.array([[5.0, 5, 5, 5], [0, 0, 10, 0]])
    assert len(overlapping(points, points).rows) == 0


def test_nothing_overlaps_nothing() -> None:
    none = np.zeros((0, 4))
    for boxes, others in ((none, BOX), (BOX, none), (none, none)):
        assert len(overlapping(boxes, others).iou) == 0


def test_margins_widen_both_boxes() -> None:
    # Both 10 px apart; with 6 px along x on all sides they are 22 x 10 and share 2 x 10.
    pairs = overlapping(BOX, np.array([[20.0, 0, 30, 10]]), np.array([[6.0, 0]]))
    assert_allclose(pairs.iou, [20 / (220 + 220 - 20)])
    assert len(overlapping(BOX, np.array([[20.0, 0, 30, 10]]), np.array([[5.0, 9]])).iou) == 0


def pixels(box: IntArray) -> BoolArray:
    x1, y1, x2, y2 = box
    mask = np.zeros((16, 16), bool)
    mask[y1:y2, x1:x2] = True
    return mask


@settings(max_examples=100)
@given(corners=hnp.arrays(np.int64, (7, 4), elements=st.integers(0, 15)))
def test_overlap_counts_pixels(corners: IntArray) -> None:
    boxes = np.hstack([np.sort(corners[:, ::2]), np.sort(corners[:, 1::2])])[:, [0, 2, 1, 3]]
    some, others = boxes[:3], boxes[3:]
    dense = np.zeros((3, 4))
    pairs = overlapping(some.astype(float), others.astype(float))
    dense[pairs.rows, pairs.columns] = pairs.iou
    expected = [[(a & b).sum() / max((a | b).sum(), 1) for b in map(pixels, others)] for a in map(pixels, some)]
    assert_allclose(dense, expected)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 40))
def test_the_sweep_misses_no_pair(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    corner: FloatArray = random.uniform(0, 100, (2 * count, 2))
    boxes = np.hstack([corner, corner + random.exponential(10, (2 * count, 2))])
    some, others = boxes[:count], boxes[count:]
    meet = (some[:, None, :2] < others[:, 2:]) & (others[:, :2] < some[:, None, 2:])
    rows, columns = np.nonzero(meet.all(axis=2))
    pairs = overlapping(some, others)
    assert set(zip(pairs.rows.tolist(), pairs.columns.tolist(), strict=True)) == set(
        zip(rows.tolist(), columns.tolist(), strict=True)
    )
    assert_array_equal(pairs.rows, np.sort(pairs.rows))


ROOT = Path(__file__).resolve().parents[2]
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12)
# Matrices of a shape with costs from 0 to 1.
KINDS: dict[str, Callable[[np.random.Generator, tuple[int, int]], FloatArray]] = {
    "all differ": lambda random, shape: random.random(shape),
    "some equal": lambda random, shape: np.round(random.random(shape), 2),
    "many equal": lambda random, shape: random.integers(0, 3, shape) / 2,
    "zero": lambda _, shape: np.zeros(shape),
    "all equal": lambda _, shape: np.full(shape, 0.5),
    "refused": lambda _, shape: np.ones(shape),
    "few admitted": lambda random, shape: np.where(random.random(shape) < 0.8, 1.0, random.random(shape)),
    "tiny": lambda random, shape: np.where(random.random(shape) < 0.5, 1.0, random.random(shape) * 1e-12),
}
# Reads problems, arguments of `assign`, and writes the answers.
SOLVER = """
import pickle, sys
from trackers.assignment import assign
pickle.dump([assign(*problem) for problem in pickle.load(sys.stdin.buffer)], sys.stdout.buffer)
"""


def problem(cost: FloatArray, limit: float) -> tuple[IntArray, IntArray, FloatArray, float]:
    """Return the arguments of `assign` for the pairs of a dense `cost` below `limit`."""
    rows, columns = np.nonzero(cost < limit)
    return rows, columns, cost[rows, columns], limit


def pairing(cost: FloatArray, limit: float) -> tuple[IntArray, IntArray]:
    """Return the rows and columns that `assign` picks from the pairs of a dense `cost` below `limit`."""
    rows, columns, costs, _ = problem(cost, limit)
    chosen = assign(rows, columns, costs, limit)
    return rows[chosen], columns[chosen]


def gain(cost: FloatArray, rows: IntArray, columns: IntArray, limit: float) -> float:
    return float((limit - cost[rows, columns]).sum())


def best_gain(cost: FloatArray, limit: float) -> float:
    loss = np.minimum(cost - limit, 0)
    return float(-loss[linear_sum_assignment(loss)].sum())


@settings(max_examples=300, deadline=None)
@given(
    cost=hnp.arrays(np.float64, SHAPES, elements=st.floats(0, 1)),
    sparse=st.floats(0, 1),
    limit=st.floats(0.1, 1),
    seed=st.integers(0, 1000),
    dense_side=st.sampled_from([assignment.DENSE_SIDE, 0]),
)
def test_equals_the_dense_optimum(cost: FloatArray, sparse: float, limit: float, seed: int, dense_side: int) -> None:
    """Also as problems are solved that are too large for LAPJV."""
    cost[np.random.default_rng(seed).random(cost.shape) < sparse] = 1.0
    with patch.object(assignment, "DENSE_SIDE", dense_side):
        rows, columns = pairing(cost, limit)
    assert len(set(rows)) == len(rows)
    assert len(set(columns)) == len(columns)
    assert (cost[rows, columns] < limit).all()
    assert (np.diff(rows) > 0).all()
    assert gain(cost, rows, columns, limit) == pytest.approx(best_gain(cost, limit), rel=1e-9, abs=1e-9)


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
    assert gain(cost, rows, columns, 0.9) == pytest.approx(best_gain(cost, 0.9))


def test_no_problem_ends_the_process() -> None:
    """In a process of its own: compiled code that writes where it must not may end it at any later time."""
    random = np.random.default_rng(5)
    problems, best = [], []
    for make in KINDS.values():
        for longest in [12] * 150 + [120] * 15 + [300]:
            rows, columns = random.integers(1, longest + 1, 2)
            scale = float(10.0 ** random.integers(-6, 4))
            cost, limit = scale * make(random, (rows, columns)), scale * 0.8
            problems.append(problem(cost, limit))
            best.append(best_gain(cost, limit))
    command, environment = [sys.executable, "-c", SOLVER], {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, input=pickle.dumps(problems), capture_output=True, env=environment, timeout=100)
    assert ended.returncode == 0, ended.stderr.decode()
    for (row, column, costs, limit), chosen, most in zip(problems, pickle.loads(ended.stdout), best, strict=True):
        assert np.bincount(row[chosen]).max(initial=0) <= 1
        assert np.bincount(column[chosen]).max(initial=0) <= 1
        assert (limit - costs[chosen]).sum() == pytest.approx(most, rel=1e-9)


def test_a_stage_that_was_decided_elsewhere_counts_as_matched() -> None:
    pairs = Pairs(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0.9, 0.6, 0.5]))
    matching = Matching(2, 2)
    matching.add(Association("greedy", pairs, 1 - pairs.iou, 0.6, np.array([True, False, False])))
    matching.associate("rest", np.ones(2, bool), np.ones(2, bool), pairs, 1 - pairs.iou, 0.6)
    assert (matching.detection_of.tolist(), matching.track_of.tolist()) == ([0, 1], [0, 1])
    assert not matching.free_tracks.any() and not matching.free_detections.any()
    assert [(each.name, each.pairs.rows.tolist()) for each in matching.associations] == [
        ("greedy", [0, 0, 1]),
        ("rest", [1]),
    ]


def test_only_pairs_without_a_match_are_free() -> None:
    pairs = Pairs(np.array([0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 3]), np.full(5, 0.5))
    matching, every = Matching(3, 4), np.ones(4, bool)
    matching.associate("first", np.array([True, False, False]), every, pairs, 1 - pairs.iou, 0.9)
    assert matching.free(every[:3], every, pairs).tolist() == [False, False, True, True, True]
    assert matching.free(every[:3], np.array([True, False, True, True]), pairs).tolist() == [False] * 4 + [True]
    assert matching.track_of.tolist() == [0, -1, -1, -1]
    assert matching.detection_of.tolist() == [0, -1, -1]
