import math
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from streamdet.train.config import BoxLoss
from streamdet.train.overlap import OVERLAPS, ciou, diou, giou, iou, siou

Box = tuple[float, float, float, float]
# Whole numbers make touching, nested and identical boxes likely; the last makes far ones. A side of 0 is degenerate.
coordinates = st.integers(0, 6) | st.just(2000)
sides = st.sampled_from([0.0, 1e-3, 1.0, 2.0, 5.0, 600.0])
boxes = st.tuples(coordinates, coordinates, sides, sides).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


def box(*sides: float) -> Tensor:
    return torch.tensor(sides, dtype=torch.float32)


# Areas 8 and 8 share 2: IoU 2 / 14. The centres (2, 1) and (3, 3) are 1 and 2 apart, the enclosing box is 4 by 5.
A, B = (0.0, 0.0, 4.0, 2.0), (2.0, 1.0, 4.0, 5.0)


def test_every_name_has_an_overlap() -> None:
    assert set(OVERLAPS) == set(get_args(BoxLoss))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 4, 2), (2, 0, 6, 2), 4 / 12),
        ((0, 0, 4, 2), (3, 1, 5, 4), 1 / 13),
        ((0, 0, 4, 4), (1, 1, 3, 3), 4 / 16),
        ((1, 2, 3, 4), (1, 2, 3, 4), 1),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0),
        ((0, 0, 2, 2), (2, 2, 4, 4), 0),
        ((0, 0, 2, 2), (500, 0, 502, 2), 0),
    ],
    ids=["half over", "corner over", "nested", "identical", "edges touch", "corners touch", "far"],
)
def test_iou_by_hand(a: tuple[float, ...], b: tuple[float, ...], expected: float) -> None:
    assert iou(box(*a), box(*b)).item() == pytest.approx(expected, abs=1e-6)


def test_ciou_by_hand() -> None:
    # Areas 8 and 8 share 2; centres (2, 1) and (3, 3); the enclosing box is 4 by 5.
    overlap, distance = 2 / 14, (1**2 + 2**2) / (4**2 + 5**2)
    v = 4 / math.pi**2 * (math.atan(4 / 2) - math.atan(2 / 4)) ** 2
    alpha = v / (1 - overlap + v)
    found = ciou(box(0, 0, 4, 2), box(2, 1, 4, 5))
    assert found.item() == pytest.approx(overlap - distance - alpha * v, abs=1e-6)


def test_ciou_is_iou_where_centres_and_shapes_agree() -> None:
    assert ciou(box(0, 0, 8, 4), box(2, 1, 6, 3)).item() == pytest.approx(8 / 32, abs=1e-6)
    assert ciou(box(0, 0, 8, 4), box(0, 0, 8, 4)).item() == pytest.approx(1, abs=1e-6)


def test_giou_by_hand() -> None:
    # 2 / 14 - (20 - 14) / 20 = 0.142857 - 0.3
    assert giou(box(*A), box(*B)).item() == pytest.approx(-0.157143, abs=1e-6)
    # Apart by 8 px: the enclosing box of 12 by 2 holds 8 of the two squares.
    assert giou(box(0, 0, 2, 2), box(10, 0, 12, 2)).item() == pytest.approx(-16 / 24, abs=1e-6)
    # Nested: the larger one is the enclosing one.
    assert giou(box(0, 0, 4, 4), box(1, 1, 3, 3)).item() == pytest.approx(4 / 16, abs=1e-6)


def test_diou_by_hand() -> None:
    # 2 / 14 - (1 + 4) / (16 + 25) = 0.142857 - 0.121951
    assert diou(box(*A), box(*B)).item() == pytest.approx(0.020906, abs=1e-6)


def test_siou_by_hand() -> None:
    # Angle: x = 2 / sqrt(5), 1 - 2 sin^2(asin(x) - pi / 4) = 2 * 1 * 2 / 5 = 0.8, so gamma = 1.2.
    assert 1 - 2 * math.sin(math.asin(2 / math.sqrt(5)) - math.pi / 4) ** 2 == pytest.approx(0.8)
    # Distance: 1 - exp(-1.2 (1 / 4)^2) = 0.072256 and 1 - exp(-1.2 (2 / 5)^2) = 0.174693.
    # Shape: both sides are 2 against 4, each (1 - exp(-0.5))^4 = 0.393469^4 = 0.023968.
    # 0.142857 - (0.072256 + 0.174693 + 2 * 0.023968) / 2
    assert siou(box(*A), box(*B)).item() == pytest.approx(-0.004586, abs=1e-5)


def test_siou_of_centres_in_line_has_no_angle_cost() -> None:
    # IoU 1 / 3 - half of 1 - exp(-2 (2 / 6)^2) = 0.199263
    assert siou(box(0, 0, 4, 2), box(2, 0, 6, 2)).item() == pytest.approx(1 / 3 - 0.199263 / 2, abs=1e-5)


@pytest.mark.parametrize("name", OVERLAPS)
def test_equal_boxes_overlap_by_one_and_boxes_broadcast(name: BoxLoss) -> None:
    columns, rows = box(*A)[None, None], torch.stack((box(*A), box(*B)))
    found = OVERLAPS[name](columns, rows)
    assert found.shape == (1, 2)
    assert found[0, 0].item() == pytest.approx(1, abs=1e-6)
    assert found[0, 1].item() == pytest.approx(OVERLAPS[name](box(*A), box(*B)).item(), abs=1e-6)


@pytest.mark.parametrize("name", OVERLAPS)
@given(boxes, boxes)
def test_the_gradient_is_finite_for_any_boxes(name: BoxLoss, a: Box, b: Box) -> None:
    predicted = box(*a).requires_grad_()
    overlap = OVERLAPS[name](predicted, box(*b))
    (gradient,) = torch.autograd.grad(overlap, predicted)
    assert overlap.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", OVERLAPS)
@given(boxes, boxes)
def test_an_overlap_is_at_most_the_iou_and_the_same_from_both_sides(name: BoxLoss, a: Box, b: Box) -> None:
    one, other = box(*a).double(), box(*b).double()
    plain, found = iou(one, other), OVERLAPS[name](one, other)
    assert -2 <= found <= plain + 1e-6
    torch.testing.assert_close(found, OVERLAPS[name](other, one))


@pytest.mark.parametrize("overlap", [giou, diou, ciou, siou])
def test_a_box_that_does_not_overlap_is_drawn_near(overlap: object) -> None:
    predicted = box(10, 0, 12, 2).requires_grad_()
    assert callable(overlap)
    (gradient,) = torch.autograd.grad(overlap(predicted, box(0, 0, 2, 2)), predicted)
    # Moved as a whole, it should go left: the derivative along x is that of x1 and x2 together.
    assert gradient[[0, 2]].sum() < 0
