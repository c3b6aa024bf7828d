"""Suppression by name: cases by hand, and the loops that define each kind, written out one pair at a time."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.boxes import BLOCK, Selection, box_diou, box_iou
from streamdet.errors import InputError
from streamdet.types import Float32Array
from streamdet.values import Suppression

Rows = list[tuple[float, ...]]


def rows_from(*rows: tuple[float, ...]) -> Float32Array:
    return np.array(rows, np.float32).reshape(-1, 6)


# Three boxes 10 px high; the second overlaps the first by 8 of 12 px and the third by 6 of 14, the third the first by
# 4 of 16.
A, B, C = (0, 0, 10, 10, 0.9, 0), (2, 0, 12, 10, 0.8, 0), (6, 0, 16, 10, 0.7, 0)
AB, AC, BC = 8 / 12, 4 / 16, 6 / 14


def scores(nms: Suppression, *rows: tuple[float, ...], conf: float = 0.01, iou: float = 0.5) -> list[float]:
    """The scores left of `rows`, best first."""
    return [float(score) for score in Selection(conf, iou, nms=nms).kept(rows_from(*rows))[:, 4]]


def test_greedy_and_none_by_hand() -> None:
    assert scores("greedy", C, A, B) == pytest.approx([0.9, 0.7])
    assert scores("none", C, A, B) == pytest.approx([0.9, 0.8, 0.7])


def test_diou_keeps_what_greedy_removes_where_the_centres_are_apart() -> None:
    # Centres of A and B are 2 px apart, the box around both is 12 by 10: 2/3 - 4 / 244 = 0.650.
    assert box_diou(rows_from(A)[:, :4], rows_from(B)[:, :4]).item() == pytest.approx(AB - 4 / 244)
    assert scores("greedy", A, B, iou=0.66) == pytest.approx([0.9])
    assert scores("diou", A, B, iou=0.66) == pytest.approx([0.9, 0.8])
    assert scores("diou", A, B, iou=0.64) == pytest.approx([0.9])


def test_diou_of_one_box_is_one_and_of_far_ones_nearly_minus_one() -> None:
    boxes = np.array([[0, 0, 1, 1], [999, 999, 1000, 1000]], np.float32)
    # 2 * 999^2 / (2 * 1000^2)
    np.testing.assert_allclose(box_diou(boxes, boxes), [[1, -0.998001], [-0.998001, 1]], rtol=1e-5)


def test_soft_by_hand() -> None:
    # A lowers B by exp(-(2/3)^2 / 0.5) = 0.411 to 0.329 and C by exp(-(1/4)^2 / 0.5) = 0.882 to 0.618; C, the better
    # one now, lowers B by exp(-(3/7)^2 / 0.5).
    c = 0.7 * math.exp(-(AC**2) / 0.5)
    b = 0.8 * math.exp(-(AB**2) / 0.5) * math.exp(-(BC**2) / 0.5)
    assert scores("soft", A, B, C) == pytest.approx([0.9, c, b], rel=1e-5)
    assert scores("soft", A, B, C, conf=0.3) == pytest.approx([0.9, c], rel=1e-5)


def test_soft_linear_lowers_from_its_threshold_on() -> None:
    # Only A and B overlap by 0.5 and more: B keeps 1 - 2/3 of its score.
    assert scores("soft-linear", A, B, C) == pytest.approx([0.9, 0.7, 0.8 * (1 - AB)], rel=1e-5)
    b = 0.8 * (1 - AB) * (1 - BC)
    assert scores("soft-linear", A, B, C, iou=0.2) == pytest.approx([0.9, 0.7 * (1 - AC), b], rel=1e-5)


def test_matrix_by_hand() -> None:
    # B is lowered by A. C is lowered by A, and by B less so, as B is itself lowered by A: the smaller factor counts.
    linear = [0.9, 0.7 * min(1 - AC, (1 - BC) / (1 - AB)), 0.8 * (1 - AB)]
    assert scores("matrix-linear", A, B, C) == pytest.approx(linear, rel=1e-5)
    b, c = math.exp(-(AB**2) / 0.5), min(math.exp(-(AC**2) / 0.5), math.exp(-(BC**2) / 0.5) / math.exp(-(AB**2) / 0.5))
    assert scores("matrix", A, B, C) == pytest.approx([0.9, 0.7 * c, 0.8 * b], rel=1e-5)


@pytest.mark.parametrize("nms", ["soft-linear", "matrix-linear", "greedy", "diou"])
def test_one_of_equal_boxes_is_left(nms: Suppression) -> None:
    equal = [(*A[:4], score, 0) for score in (0.9, 0.8, 0.7)]
    assert scores(nms, *equal) == pytest.approx([0.9])


@pytest.mark.parametrize("nms", get_args(Suppression))
def test_classes_are_apart_unless_they_are_not_asked_for(nms: Suppression) -> None:
    cat, dog = A, (*A[:4], 0.6, 1)
    assert scores(nms, cat, dog) == pytest.approx([0.9, 0.6])
    (first, *others) = Selection(0.5, 0.5, agnostic=True, nms=nms).kept(rows_from(cat, dog))
    assert first[4] == pytest.approx(0.9)
    assert len(others) == (1 if nms == "none" else 0)


@pytest.mark.parametrize("nms", get_args(Suppression))
def test_what_follows_the_class_stays_with_its_row(nms: Suppression) -> None:
    rows = np.column_stack((rows_from(C, A, B), [3, 1, 2])).astype(np.float32)
    kept = Selection(0.01, 0.5, nms=nms).kept(rows)
    place = {0: 1, 2: 2, 6: 3}
    assert len(kept) >= 2
    assert [place[int(left)] for left in kept[:, 0]] == kept[:, 6].tolist()
    np.testing.assert_array_equal(rows[:, 4], np.array([0.7, 0.9, 0.8], np.float32))  # the input is as it was


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match=r"nms must be one of greedy, diou, soft, .*, none, got 'fast'"):
        Selection(nms="fast")  # type: ignore[arg-type]


def decayed(nms: Suppression, overlap: float, threshold: float) -> float:
    if nms in ("soft", "matrix"):
        return math.exp(-(overlap**2) / 0.5)
    return 1 - overlap if nms == "matrix-linear" or overlap >= threshold else 1


def by_loop(rows: Rows, nms: Suppression, conf: float, threshold: float, agnostic: bool) -> Rows:
    """What is left of `rows`, best first, by the loops of the papers."""

    def overlap(i: int, j: int) -> float:
        a, b = (np.array([rows[k][:4]], np.float32) for k in (i, j))
        same = agnostic or rows[i][5] == rows[j][5]
        return float((box_diou if nms == "diou" else box_iou)(a, b)[0, 0]) if same else 0.0

    rows = sorted((row for row in rows if row[4] >= conf), key=lambda row: -row[4])
    left, found = list(range(len(rows))), list[tuple[int, float]]()
    points = [row[4] for row in rows]
    if nms.startswith("matrix"):
        for j in left:
            most = {i: max([overlap(k, i) for k in range(i)], default=0.0) for i in range(j)}
            factors = [
                decayed(nms, overlap(i, j), threshold) / max(decayed(nms, most[i], threshold), 1e-6) for i in range(j)
            ]
            found.append((j, points[j] * min([1, *factors])))
    while left and not nms.startswith("matrix"):
        best = max(left, key=lambda i: points[i])
        left.remove(best)
        found.append((best, points[best]))
        if nms in ("greedy", "diou"):
            left = [i for i in left if overlap(best, i) <= threshold]
        elif nms != "none":
            for i in left:
                points[i] *= decayed(nms, overlap(best, i), threshold)
    kept = [(*rows[i][:4], point, rows[i][5]) for i, point in found if point >= conf]
    return sorted(kept, key=lambda row: -row[4])


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 40),
    spread=st.sampled_from([5.0, 40.0, 200.0]),
    nms=st.sampled_from(get_args(Suppression)),
    iou=st.sampled_from([0.2, 0.5, 0.7]),
    agnostic=st.booleans(),
    block=st.sampled_from([1, 7, BLOCK]),
)
def test_equals_the_loop_of_the_paper(
    seed: int, count: int, spread: float, nms: Suppression, iou: float, agnostic: bool, block: int
) -> None:
    random = np.random.default_rng(seed)
    corners = random.uniform(0, spread, (count, 2))
    sides = random.uniform(5, 40, (count, 2))
    rows = np.hstack([corners, corners + sides, random.uniform(0, 1, (count, 1)), random.integers(0, 3, (count, 1))])
    rows = rows.astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamdet.boxes.BLOCK", block)
        kept = Selection(0.001, iou, agnostic=agnostic, nms=nms).kept(rows)
    expected = by_loop([tuple(map(float, row)) for row in rows], nms, 0.001, iou, agnostic)
    np.testing.assert_allclose(kept, np.array(expected, np.float32).reshape(-1, 6), rtol=2e-4, atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1), nms=st.sampled_from(get_args(Suppression)), most=st.integers(1, 12))
def test_a_limit_keeps_the_best(seed: int, nms: Suppression, most: int) -> None:
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 60, (20, 2))
    rows = np.hstack([corners, corners + 20, random.uniform(0, 1, (20, 1)), np.zeros((20, 1))]).astype(np.float32)
    unlimited, limited = (Selection(0.05, 0.5, count, nms=nms).kept(rows) for count in (300, most))
    np.testing.assert_array_equal(limited, unlimited[:most])
