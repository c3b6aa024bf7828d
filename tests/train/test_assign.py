from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from streamdet.train.assign import (
    ASSIGNERS,
    Assigner,
    Assignment,
    AtssAssigner,
    SimOtaAssigner,
    Targets,
    TaskAlignedAssigner,
)
from streamdet.train.config import AssignerName

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


def assign(
    scores: Tensor, boxes: Tensor, targets: Targets, candidates: int = 10, assigner: Assigner | None = None
) -> Assignment:
    assigner = assigner or TaskAlignedAssigner(candidates)
    return assigner(scores, boxes, grid(), torch.full((SIDE * SIDE, 1), STRIDE_PX), targets)


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


def said_for_simota() -> tuple[Tensor, Tensor]:
    """For an object (0, 0, 16, 16) of class A: boxes of cells 0, 1 and 4 that overlap it by 1, 3 / 4 and 1 / 2."""
    scores, boxes = said()
    boxes[0, 0] = torch.tensor([0, 0, 16, 16])
    boxes[0, 1] = torch.tensor([0, 0, 16, 12])
    boxes[0, 4] = torch.tensor([0, 0, 16, 8])
    return scores, boxes


# The sum of these overlaps is 2.25: two cells learn the object. One is cell 0; the other costs, for scores a and b,
#   cell 1: -ln 0.25 - ln(1 - 0.25) + 3 * -ln 0.75 = 1.386 + 0.288 + 0.863 = 2.537
#   cell 4: -ln a - ln(1 - b) + 3 * -ln 0.5 = -ln a - ln(1 - b) + 2.079
@pytest.mark.parametrize(
    ("a", "b", "labelled", "cell", "score"),
    [
        (0.90, 0.25, True, 4, 0.5),  # 0.105 + 0.288 + 2.079 = 2.472
        (0.80, 0.25, True, 1, 0.75),  # 0.223 + 0.288 + 2.079 = 2.590
        (0.90, 0.40, True, 1, 0.75),  # 0.105 + 0.511 + 2.079 = 2.695
        (0.90, 0.99, False, 4, 0.5),  # both without what b costs: 2.184 against 2.249
    ],
)
def test_simota_by_hand(a: float, b: float, labelled: bool, cell: int, score: float) -> None:
    scores, boxes = said_for_simota()
    scores[0, 4] = torch.tensor([a, b])
    targets = objects([(0, 0, 16, 16)], [A])
    targets.labelled[0, B] = labelled
    found = rows(assign(scores, boxes, targets, assigner=SimOtaAssigner()))
    assert found == {(0, 0): (A, 1.0), (0, cell): (A, score)}


def test_simota_gives_a_cell_that_two_want_to_the_lower_cost() -> None:
    big, inner = (0.0, 0.0, 16.0, 16.0), (0.0, 0.0, 16.0, 12.0)
    scores, boxes = said_for_simota()
    boxes[0, [1, 4]] = 0  # which leaves the box of cell 0, of IoU 1 and 3 / 4: a cell for each object
    assert rows(assign(scores, boxes, objects([big, inner], [A, B]), assigner=SimOtaAssigner())) == {(0, 0): (A, 1.0)}
    # The second costs -3 ln 0.75 = 0.863 more by its box, and ln 3 + ln 3 less by the classes.
    scores[0, 0] = torch.tensor([0.25, 0.75])
    assert rows(assign(scores, boxes, objects([big, inner], [A, B]), assigner=SimOtaAssigner())) == {(0, 0): (B, 0.75)}


def test_simota_takes_cells_near_the_centre() -> None:
    whole = (0.0, 0.0, 32.0, 32.0)
    scores, boxes = said()
    boxes[:] = torch.tensor(whole)
    targets = objects([whole], [A])
    # Four cells have their centre within half of a cell's side of (16, 16) on both axes, 16 within 2.5.
    found = rows(assign(scores, boxes, targets, assigner=SimOtaAssigner(radius=0.5)))
    assert found == dict.fromkeys([(0, 5), (0, 6), (0, 9), (0, 10)], (A, 1.0))
    assert len(rows(assign(scores, boxes, targets, assigner=SimOtaAssigner()))) == 10
    assert len(rows(assign(scores, boxes, targets, assigner=SimOtaAssigner(candidates=3)))) == 3


def test_atss_by_hand() -> None:
    # Squares of 16 px around the cells. The nine nearest to (8, 8) are 0, 1, 4, 5 with IoU 144 / 368 = 0.3913; 2, 6, 8,
    # 9 with 48 / 464 = 0.1034; 10 with 16 / 496 = 0.0323. Mean 0.2235, standard deviation 0.1516, sum 0.3751.
    scores, boxes = said()
    boxes[0, 0], boxes[0, 5] = torch.tensor([0, 0, 16, 16]), torch.tensor([0, 0, 16, 4])
    found = rows(assign(scores, boxes, objects([(0, 0, 16, 16)], [A]), assigner=AtssAssigner(scale=2)))
    assert found == {(0, 0): (A, 1.0), (0, 1): (A, 0.0), (0, 4): (A, 0.0), (0, 5): (A, 0.25)}


def test_atss_chooses_the_level_and_the_larger_overlap() -> None:
    # The 16 cells of 8 px, then 4 of 16 px, each with a square of its size; one candidate on each level.
    y, x = torch.meshgrid(torch.tensor([8.0, 24]), torch.tensor([8.0, 24]), indexing="ij")
    points = torch.cat((grid(), torch.stack((x.flatten(), y.flatten()), 1)))
    strides = torch.tensor([8.0] * 16 + [16.0] * 4)[:, None]
    small, large = (1.0, 1.0, 9.0, 9.0), (1.0, 1.0, 15.0, 14.0)
    targets = objects([small, large], [A, B])
    found = AtssAssigner(candidates=1, scale=1)(torch.zeros(1, 20, 2), torch.zeros(1, 20, 4), points, strides, targets)
    # The small one has 49 / 79 = 0.62 of the square of cell 0 and 64 / 256 = 0.25 of that of cell 16: the larger of two
    # is their mean plus their deviation. The large one has 0.71 of the square of cell 16, and less of one of 8 px.
    assert rows(found) == {(0, 0): (A, 0.0), (0, 16): (B, 0.0)}


@pytest.mark.parametrize("name", ASSIGNERS)
def test_every_assigner_gives_a_cell_to_a_small_object_and_none_outside(name: AssignerName) -> None:
    assert set(ASSIGNERS) == set(get_args(AssignerName))
    inside, outside = (9.0, 9.0, 11.0, 11.0), (40.0, 40.0, 60.0, 60.0)
    found = rows(assign(*said(), objects([inside, outside], [A, B]), assigner=ASSIGNERS[name]()))
    assert found == {(0, 5): (A, 0.0)}
    assert rows(assign(*said(), objects([], []), assigner=ASSIGNERS[name]())) == {}


sides = st.floats(0, 32, width=32)
inside = st.tuples(sides, sides, sides, sides).map(lambda b: (*map(min, b[:2], b[2:]), *map(max, b[:2], b[2:])))


@settings(max_examples=60)
@given(
    st.lists(inside, min_size=1, max_size=12),
    st.integers(0, 2**16),
    st.integers(1, 6),
    st.booleans(),
    st.sampled_from([TaskAlignedAssigner, SimOtaAssigner, AtssAssigner]),
)
def test_cells_are_given_once_and_lie_in_their_objects(
    boxes: list[Box], seed: int, candidates: int, together: bool, kind: type[Any]
) -> None:
    images = [0] * len(boxes) if together else list(range(len(boxes)))
    targets = objects(boxes, [index % 2 for index in range(len(boxes))], images)
    generator = torch.Generator().manual_seed(seed)
    count = images[-1] + 1
    corners = torch.rand(count, SIDE * SIDE, 2, 2, generator=generator) * 32
    said_boxes = torch.cat((corners.amin(2), corners.amax(2)), 2)
    assigner = kind(candidates=candidates)
    scores = torch.rand(count, SIDE * SIDE, 2, generator=generator)
    found = assign(scores, said_boxes, targets, assigner=assigner)

    places = found.image_index * SIDE * SIDE + found.cell
    assert len(set(places.tolist())) == len(places)
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert (targets.image_index[found.target] == found.image_index).all()
    assert (found.target.bincount(minlength=len(boxes)) <= candidates).all()
    center = (targets.boxes[:, :2] + targets.boxes[:, 2:]) / 2
    half = (targets.boxes[:, 2:] - targets.boxes[:, :2]).clamp(min=STRIDE_PX) / 2
    assert ((grid()[found.cell] - center[found.target]).abs() <= half[found.target]).all()
    if not together and kind is not AtssAssigner:  # whose nearest cells may be outside of a long object
        assert set(found.target.tolist()) == set(range(len(boxes)))  # nobody to lose a cell to
