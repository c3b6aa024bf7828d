import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from streamdet.train.assign import Assignment, Targets, TaskAlignedAssigner, ciou, iou

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


SIDE, STRIDE_PX = 4, 8.0
A, B = 0, 1  # objects, and the classes they are of

Box = tuple[float, float, float, float]


def grid() -> Tensor:
    """The centres (16, 2) of 4 by 4 cells of 8 px, row by row: cell 5 is at (12, 12)."""
    y, x = torch.meshgrid(*[(torch.arange(SIDE) + 0.5) * STRIDE_PX] * 2, indexing="ij")
    return torch.stack((x.flatten(), y.flatten()), 1)


def objects(boxes: list[Box], class_ids: list[int], images: list[int] | None = None, classes: int = 2) -> Targets:
    image_index = torch.tensor(images or [0] * len(boxes), dtype=torch.int64)
    count = int(image_index.max()) + 1 if len(image_index) else 1
    return Targets(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(class_ids, dtype=torch.int64),
        image_index,
        torch.ones(count, classes, dtype=torch.bool),
    )


def said(images: int = 1, classes: int = 2) -> tuple[Tensor, Tensor]:
    """Scores of 0.25 for all, and for each cell a box without area at the origin, which overlaps nothing."""
    cells = SIDE * SIDE
    return torch.full((images, cells, classes), 0.25), torch.zeros(images, cells, 4)


def assign(scores: Tensor, boxes: Tensor, targets: Targets, candidates: int = 10) -> Assignment:
    return TaskAlignedAssigner(candidates)(scores, boxes, grid(), STRIDE_PX, targets)


def rows(assigned: Assignment) -> dict[tuple[int, int], tuple[int, float]]:
    """(image, cell): (object, score)."""
    columns = (assigned.image_index, assigned.cell, assigned.target, assigned.score)
    listed = zip(*(column.tolist() for column in columns), strict=True)
    return {(image, cell): (target, round(score, 5)) for image, cell, target, score in listed}


def test_two_objects_by_hand() -> None:
    # A has the centres of cells 0, 1, 4, 5 inside, B those of 5, 6, 7, 9, 10, 11, 13, 14, 15.
    targets = objects([(0, 0, 16, 16), (8, 8, 32, 32)], [A, B])
    scores, boxes = said()
    # Boxes with the centre and the shape of an object overlap it by the ratio of the areas, also as CIoU counts it.
    boxes[0, 0] = torch.tensor([0, 0, 16, 16])  # u = 1 with A
    boxes[0, 4] = torch.tensor([4, 4, 12, 12])  # u = 1 / 4 with A
    boxes[0, 10] = torch.tensor([8, 8, 32, 32])  # u = 1 with B
    boxes[0, 5] = torch.tensor([10, 10, 30, 30])  # u = 25 / 36 with B, less with A
    scores[0, 4, A], scores[0, 5, B] = 1.0, 0.64
    found = rows(assign(scores, boxes, targets, candidates=2))
    # t = s^0.5 u^6; score = t / max t * max u
    assert found == {
        (0, 0): (A, 1.0),
        (0, 4): (A, round(1 * (1 / 4) ** 6 / 0.5, 5)),
        (0, 10): (B, 1.0),
        (0, 5): (B, round(0.8 * (25 / 36) ** 6 / 0.5, 5)),
    }


def test_the_class_score_decides_between_equal_boxes() -> None:
    scores, boxes = said()
    boxes[0, [0, 1, 4, 5]] = torch.tensor([0.0, 0, 16, 16])
    scores[0, 4, A], scores[0, 5, B] = 0.36, 0.9  # the score of another class counts for nothing
    (only,) = rows(assign(scores, boxes, objects([(0, 0, 16, 16)], [A]), candidates=1))
    assert only == (0, 4)


def test_the_best_cell_is_asked_for_what_its_box_overlaps() -> None:
    scores, boxes = said()
    boxes[0, 0] = torch.tensor([6, 6, 10, 10])  # u = 1 / 16
    boxes[0, 1] = torch.tensor([7.5, 7.5, 8.5, 8.5])  # u = 1 / 256, u^6 is about 4e-15
    found = rows(assign(scores, boxes, objects([(0, 0, 16, 16)], [A])))
    assert found[0, 0] == (A, round(1 / 16, 5))
    boxes[0, 0] = 0
    found = rows(assign(scores, boxes, objects([(0, 0, 16, 16)], [A])))
    assert found[0, 1] == (A, round(1 / 256, 5))


def test_a_cell_that_two_want_goes_to_the_larger_overlap() -> None:
    big, inner = (0.0, 0.0, 16.0, 16.0), (2.0, 2.0, 14.0, 14.0)  # both have the centres of cells 0, 1, 4, 5 inside
    scores, boxes = said()
    boxes[0, 0] = torch.tensor(big)
    boxes[0, [1, 4, 5]] = torch.tensor([3.0, 3.0, 13.0, 13.0])  # nearer to the inner: 100 / 144 against 100 / 256
    # The score speaks for the big one: it does not matter here.
    scores[0, :, A] = 1.0
    found = rows(assign(scores, boxes, objects([big, inner], [A, B])))
    assert {cell: target for (_, cell), (target, _) in found.items()} == {0: A, 1: B, 4: B, 5: B}


def test_an_object_smaller_than_a_cell_has_the_cell_that_it_lies_in() -> None:
    assert list(rows(assign(*said(), objects([(9, 9, 11, 11)], [A])))) == [(0, 5)]


def test_an_object_on_the_corner_of_four_cells_has_them_all() -> None:
    found = rows(assign(*said(), objects([(7.5, 7.5, 8.5, 8.5)], [A])))
    assert sorted(found) == [(0, 0), (0, 1), (0, 4), (0, 5)]


def test_the_same_cell_of_two_images_is_no_conflict() -> None:
    whole = (0.0, 0.0, 32.0, 32.0)
    found = rows(assign(*said(images=2), objects([whole, whole], [A, B], images=[0, 1]), candidates=16))
    assert sorted(found) == [(image, cell) for image in (0, 1) for cell in range(16)]
    assert all(target == image for (image, _), (target, _) in found.items())


def test_an_object_outside_the_grid_and_no_object_have_no_cell() -> None:
    assert rows(assign(*said(), objects([(40, 40, 60, 60)], [A]))) == {}
    assert rows(assign(*said(), objects([], []))) == {}


sides = st.floats(0, 32, width=32)
inside = st.tuples(sides, sides, sides, sides).map(lambda b: (*map(min, b[:2], b[2:]), *map(max, b[:2], b[2:])))


@settings(max_examples=60)
@given(st.lists(inside, min_size=1, max_size=12), st.integers(0, 2**16), st.integers(1, 6), st.booleans())
def test_cells_are_given_once_and_lie_in_their_objects(
    boxes: list[Box], seed: int, candidates: int, together: bool
) -> None:
    images = [0] * len(boxes) if together else list(range(len(boxes)))
    targets = objects(boxes, [index % 2 for index in range(len(boxes))], images)
    generator = torch.Generator().manual_seed(seed)
    count = images[-1] + 1
    corners = torch.rand(count, SIDE * SIDE, 2, 2, generator=generator) * 32
    said_boxes = torch.cat((corners.amin(2), corners.amax(2)), 2)
    found = assign(torch.rand(count, SIDE * SIDE, 2, generator=generator), said_boxes, targets, candidates)

    places = found.image_index * SIDE * SIDE + found.cell
    assert len(set(places.tolist())) == len(places)
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert (targets.image_index[found.target] == found.image_index).all()
    assert (found.target.bincount(minlength=len(boxes)) <= candidates).all()
    center = (targets.boxes[:, :2] + targets.boxes[:, 2:]) / 2
    half = (targets.boxes[:, 2:] - targets.boxes[:, :2]).clamp(min=STRIDE_PX) / 2
    assert ((grid()[found.cell] - center[found.target]).abs() <= half[found.target]).all()
    if not together:
        assert set(found.target.tolist()) == set(range(len(boxes)))  # nobody to lose a cell to
