import numpy as np
import pytest

from streamdet.train.example import Example, area, joined

from .rectangles import painted, seen


@pytest.mark.parametrize(("hw", "size_px", "expected"), [((60, 100), 50, (30, 50)), ((100, 60), 300, (300, 180))])
def test_resizing_brings_the_longer_side_to_size_and_boxes_with_it(
    hw: tuple[int, int], size_px: int, expected: tuple[int, int]
) -> None:
    example = painted(hw, [(10, 20, 40, 50)]).resized(size_px)
    assert example.hw == expected
    np.testing.assert_allclose(example.boxes[0], np.array([10, 20, 40, 50]) * size_px / 100)
    shown = seen(example.image, 0)
    assert shown is not None
    np.testing.assert_allclose(example.boxes[0], shown, atol=1)


def test_an_image_of_the_right_size_is_left_alone() -> None:
    example = painted((60, 100), [(10, 20, 40, 50)])
    assert example.resized(100) is example


def test_a_line_of_pixels_keeps_one_row() -> None:
    assert painted((1, 400), []).resized(100).hw == (1, 100)


def test_clipping_keeps_what_shows_a_tenth_and_two_pixels() -> None:
    boxes = [
        (-10, 10, 10, 20),  # half of it shows
        (90, 10, 190, 20),  # a tenth
        (91, 10, 191, 20),  # less
        (98, 10, 100, 12),  # two pixels
        (98.5, 10, 100, 12),  # less
        (110, 10, 120, 20),  # nothing
    ]
    example = Example(np.zeros((50, 100, 3), np.uint8), np.arange(6), np.array(boxes, np.float32)).clipped()
    assert example.class_ids.tolist() == [0, 1, 3]
    np.testing.assert_array_equal(example.boxes, [(0, 10, 10, 20), (90, 10, 100, 20), (98, 10, 100, 12)])


def test_clipping_compares_with_the_area_that_is_stated() -> None:
    example = painted((50, 100), [(0, 0, 10, 10), (20, 0, 30, 10)])
    left = example.clipped(areas_before=np.array([1000, 1001], np.float32))
    assert left.class_ids.tolist() == [0]


def test_an_image_without_objects_stays_one() -> None:
    empty = painted((50, 100), []).resized(20).clipped()
    assert empty.boxes.shape == (0, 4)
    assert empty.only(np.zeros(0, np.bool_)).class_ids.shape == (0,)


def test_joining_keeps_all_objects_in_order() -> None:
    a, b = painted((50, 100), [(0, 0, 10, 10)]), painted((20, 20), [(5, 5, 9, 9), (10, 10, 19, 19)], first=1)
    both = joined(a.image, [a, b])
    assert both.class_ids.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(both.boxes, [(0, 0, 10, 10), (5, 5, 9, 9), (10, 10, 19, 19)])
    assert both.image is a.image


def test_area_of_a_box_turned_inside_out_is_0() -> None:
    np.testing.assert_array_equal(area(np.array([[0, 0, 2, 3], [5, 0, 3, 3], [0, 0, 0, 9]], np.float32)), [6, 0, 0])
