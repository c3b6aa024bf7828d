"""Polygons, corners and key points: cut and covered as their pixels are."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from streamdet.data.shapes import Corners, KeyPoints, Patch, Shapes, joined, outline, rasterised

SIZE = 40
# Coordinates of which none lies on the centre of a cell.
steps = st.integers(-20, 2 * SIZE).map(lambda step: step * 0.7 + 0.123)
rings = st.lists(st.tuples(steps, steps), min_size=3, max_size=8).map(lambda ring: np.array(ring, np.float32))
patches = st.tuples(*[st.integers(0, SIZE)] * 4).map(
    lambda sides: (min(sides[0], sides[1]), min(sides[2], sides[3]), max(sides[0], sides[1]), max(sides[2], sides[3]))
)


def shapes(*polygons: npt.NDArray[np.float32]) -> Shapes:
    return Shapes(np.concatenate(polygons), np.array([len(each) for each in polygons]))


def covered(patch: Patch) -> npt.NDArray[np.bool_]:
    x1, y1, x2, y2 = map(int, patch)
    inside = np.zeros((SIZE, SIZE), bool)
    inside[y1:y2, x1:x2] = True
    return inside


def test_a_raster_has_the_cells_whose_centres_are_inside() -> None:
    triangle = np.array([(0, 0), (4, 0), (0, 4)], np.float32) - 0.1
    expected = ["1110", "1100", "1000", "0000"]
    assert ["".join(map(str, row)) for row in rasterised(triangle, (4, 4)).astype(int)] == expected
    hole = np.array([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (1, 1), (3, 1), (3, 3), (1, 3), (1, 1)], np.float32)
    assert rasterised(hole, (4, 4)).sum() == 12


@given(rings)
def test_a_raster_is_that_of_opencv_but_for_the_edge(ring: npt.NDArray[np.float32]) -> None:
    ring, size = ring + SIZE / 2, 2 * SIZE  # the drawing of what leaves the image is rough
    drawn, edge = np.zeros((2, size, size), np.uint8)
    corners = np.round((ring - 0.5) * 256).astype(np.int32)
    cv2.fillPoly(drawn, [corners], 1, shift=8)
    cv2.polylines(edge, [corners], True, 1, thickness=3, shift=8)
    differs = rasterised(ring, (size, size)) != (drawn > 0)
    assert not differs[edge == 0].any()


@settings(max_examples=300)
@given(rings, patches)
def test_what_is_cut_or_covered_is_so_in_the_raster(ring: npt.NDArray[np.float32], patch: Patch) -> None:
    whole, inside = rasterised(ring, (SIZE, SIZE)), covered(patch)
    (cut,), (rest,) = shapes(ring).within(patch), shapes(ring).without(patch)
    np.testing.assert_array_equal(rasterised(cut, (SIZE, SIZE)), whole & inside)
    np.testing.assert_array_equal(rasterised(rest, (SIZE, SIZE)), whole & ~inside)


cells = st_np.arrays(bool, st.tuples(st.integers(1, SIZE), st.integers(1, SIZE)))


@given(cells.filter(lambda inside: bool(inside.any())))
def test_an_outline_encloses_its_cells_and_no_other(inside: npt.NDArray[np.bool_]) -> None:
    ring = outline(inside)
    height, width = inside.shape
    np.testing.assert_array_equal(rasterised(ring, (height, width)), inside)
    rows, columns = np.nonzero(inside)
    assert (*ring.min(0), *ring.max(0)) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


@given(rings, st_np.arrays(bool, (SIZE, SIZE)))
def test_what_lies_beneath_is_what_is_not_covered(ring: npt.NDArray[np.float32], hidden: npt.NDArray[np.bool_]) -> None:
    whole = rasterised(ring, (SIZE, SIZE))
    left, (share,) = shapes(ring).beneath(hidden)
    np.testing.assert_array_equal(rasterised(left.points, (SIZE, SIZE)), whole & ~hidden)
    assert share == pytest.approx((whole & ~hidden).sum() / whole.sum() if whole.any() else 1)


def test_what_is_not_covered_keeps_its_outline() -> None:
    slanted = np.array([(1.3, 2.1), (9.7, 3.2), (4.4, 8.8)], np.float32)
    hidden = np.zeros((SIZE, SIZE), bool)
    hidden[20:] = True
    np.testing.assert_array_equal(shapes(slanted).beneath(hidden)[0].points, slanted)


@given(rings, rings)
def test_boxes_are_the_hulls_of_the_points(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> None:
    expected = [(*ring.min(0), *ring.max(0)) for ring in (a, b)]
    np.testing.assert_array_equal(shapes(a, b).boxes(np.zeros((2, 4), np.float32)), expected)


def test_rows_are_chosen_and_joined() -> None:
    a, b, c = (np.full((count, 2), count, np.float32) for count in (3, 4, 5))
    some = shapes(a, b, c).only(np.array([True, False, True]))
    assert [len(ring) for ring in some] == [3, 5]
    np.testing.assert_array_equal(joined([some, shapes(b)]).points, np.concatenate([a, c, b]))
    nothing = some.only(np.zeros(2, bool))
    assert (len(nothing), list(nothing)) == (0, [])
    assert [len(ring) for ring in joined([nothing, some])] == [3, 5]
    for changed in (nothing.within((0, 0, 1, 1)), nothing.without((0, 0, 1, 1))):
        assert (changed.points.shape, len(changed)) == ((0, 2), 0)


LEFT_RIGHT = (0, 2, 1)


def test_key_points_change_sides_in_a_mirror() -> None:
    points = KeyPoints(np.array([(1, 1, 2), (2, 3, 1), (4, 5, 0)], np.float32), np.array([3]), LEFT_RIGHT)
    mirror = np.array([[-1, 0, 10], [0, 1, 0]], np.float32)
    np.testing.assert_array_equal(points.mirrored(mirror).points, [(9, 1, 2), (6, 5, 0), (8, 3, 1)])
    np.testing.assert_array_equal(points.mirrored(mirror).mirrored(mirror).points, points.points)


def test_key_points_are_lost_outside_and_hidden_under_a_patch() -> None:
    points = KeyPoints(np.array([(1, 1, 2), (9, 1, 2), (2, 2, 0)], np.float32), np.array([3]), LEFT_RIGHT)
    assert points.within((0, 0, 5, 5)).points[:, 2].tolist() == [2, 0, 0]
    assert points.without((0, 0, 5, 5)).points[:, 2].tolist() == [1, 2, 0]
    stated = np.array([(0, 0, 3, 3)], np.float32)
    assert points.boxes(stated) is stated


@pytest.mark.parametrize("patch", [(0, 0, 5, 5), (20, 20, 30, 30)])
def test_corners_stay_whole(patch: Patch) -> None:
    corners = Corners(np.array([(2, 2), (12, 2), (12, 7), (2, 7)], np.float32), np.array([4]))
    assert corners.within(patch) is corners.without(patch) is corners
    np.testing.assert_allclose(corners.fill(), [1], rtol=1e-6)


def test_the_outline_of_no_cell_has_no_point() -> None:
    assert outline(np.zeros((30, 20), bool)).shape == (0, 2)


def test_the_outline_of_a_rectangle_has_four_points() -> None:
    assert len(outline(np.ones((30, 20), bool))) == 4
    assert outline(np.zeros((30, 20), bool)).shape == (0, 2)
