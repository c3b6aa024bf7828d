"""Overlap and appearance against answers by hand, and against counting pixels."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose

from trackers.cost import cosine_distance, iou, iou_cost, with_appearance
from trackers.rows import BoolArray, FloatArray, IntArray

BOX = np.array([[0.0, 0, 10, 10]])


def test_overlap_by_hand() -> None:
    others = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [0, 0, 5, 5], [5, 5, 5, 9], [9, 9, 1, 1]])
    assert_allclose(iou(BOX, others), [[1, 1 / 3, 0, 0.25, 0, 0]])


def test_boxes_without_area_overlap_nothing_not_even_themselves() -> None:
    points = np.array([[5.0, 5, 5, 5], [0, 0, 10, 0]])
    assert_allclose(iou(points, points), np.zeros((2, 2)))


def pixels(box: IntArray) -> BoolArray:
    x1, y1, x2, y2 = box
    mask = np.zeros((16, 16), bool)
    mask[y1:y2, x1:x2] = True
    return mask


@settings(max_examples=100, deadline=None)
@given(corners=hnp.arrays(np.int64, (2, 4), elements=st.integers(0, 15)))
def test_overlap_counts_pixels(corners: IntArray) -> None:
    one, other = np.hstack([np.sort(corners[:, ::2]), np.sort(corners[:, 1::2])])[:, [0, 2, 1, 3]]
    a, b = pixels(one), pixels(other)
    expected = (a & b).sum() / max((a | b).sum(), 1)
    assert_allclose(iou(one[None].astype(float), other[None].astype(float)), [[expected]])


def test_scores_weigh_the_overlap() -> None:
    overlap = np.array([[0.5, 1.0]])
    assert_allclose(iou_cost(overlap), [[0.5, 0]])
    assert_allclose(iou_cost(overlap, np.array([0.8, 0.4])), [[0.6, 0.6]])


def test_the_unknown_looks_like_nothing() -> None:
    looks = np.array([[1.0, 0], [0, 1], [0, 0]])
    assert_allclose(cosine_distance(looks, looks), [[0, 1, 1], [1, 0, 1], [1, 1, 1]])


def test_appearance_only_helps_and_only_inside_the_gate() -> None:
    cost: FloatArray = np.array([[0.5, 0.5, 0.05]])
    distance = np.array([[0.2, 0.2, 0.2]])
    gate = np.array([[True, False, True]])
    assert_allclose(with_appearance(cost, distance, gate), [[0.1, 0.5, 0.05]])
