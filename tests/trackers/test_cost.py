"""Overlap against answers by hand, and against counting pixels."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from trackers.association import overlapping
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
