import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from streamdet.train.iou import ciou, iou

# Whole numbers make touching, nested and identical boxes likely; the last makes far ones.
coordinates = st.integers(0, 6) | st.just(2000)
sizes = st.sampled_from([1e-3, 1.0, 2.0, 5.0, 600.0])
boxes = st.tuples(coordinates, coordinates, sizes, sizes).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


def box(*sides: float) -> Tensor:
    return torch.tensor(sides, dtype=torch.float32)


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


def test_boxes_broadcast() -> None:
    columns = torch.tensor([[0.0, 0, 2, 2], [0, 0, 4, 4]])[:, None]
    rows = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [2, 2, 4, 4]])
    expected = torch.tensor([[1, 1 / 4, 0], [4 / 16, 1 / 16, 4 / 16]])
    torch.testing.assert_close(iou(columns, rows), expected)
    assert ciou(columns, rows).shape == (2, 3)


@given(boxes, boxes)
def test_ciou_has_a_finite_gradient_for_any_boxes(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    predicted = box(*a).requires_grad_()
    (gradient,) = torch.autograd.grad(ciou(predicted, box(*b)), predicted)
    assert gradient.isfinite().all()


@given(boxes, boxes)
def test_ciou_is_at_most_iou_and_the_same_from_both_sides(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    overlap, complete = iou(box(*a), box(*b)), ciou(box(*a), box(*b))
    assert 0 <= overlap <= 1
    assert -2 <= complete <= overlap
    torch.testing.assert_close(complete, ciou(box(*b), box(*a)))


def test_ciou_draws_a_box_that_does_not_overlap() -> None:
    predicted = box(10, 0, 12, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(ciou(predicted, box(0, 0, 2, 2)), predicted)
    # Moved as a whole, it should go left: the derivative along x is that of x1 and x2 together.
    assert gradient[[0, 2]].sum() < 0
