"""Views and images: the same places, the same motions, in pixels of either."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from streamdet.camera_motion.view import View, rescaled

from .scene import NO_BOXES, FloatArray

SMALL = st.floats(-0.2, 0.2)
SCALES = st.tuples(st.floats(0.05, 20), st.floats(0.05, 20))


@given(st.lists(SMALL, min_size=4, max_size=4), st.tuples(st.floats(-99, 99), st.floats(-99, 99)), SCALES)
def test_a_rescaled_motion_moves_the_same_places(
    linear: list[float], shift_px: tuple[float, float], scale: tuple[float, float]
) -> None:
    motion, factors = np.column_stack([np.eye(2) + np.reshape(linear, (2, 2)), shift_px]), np.array(scale)

    def enlarged(place: FloatArray) -> FloatArray:
        # The edges of the images coincide, and pixels count from their centres.
        return np.asarray((place + 0.5) * factors - 0.5)

    place = np.array([31.0, 7.0])
    moved = motion @ [*place, 1]
    assert_allclose(rescaled(motion, factors) @ [*enlarged(place), 1], enlarged(moved), rtol=1e-9, atol=1e-6)
    assert_allclose(rescaled(rescaled(motion, factors), 1 / factors), motion, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize(
    ("width_px", "height_px", "expected"),
    [
        (1920, 1080, (400, 225)),
        (1080, 1920, (225, 400)),
        (1366, 768, (400, 225)),
        (320, 240, (320, 240)),
        (4000, 2, (400, 1)),
    ],
)
def test_the_longer_side_is_reduced(width_px: int, height_px: int, expected: tuple[int, int]) -> None:
    view = View.of(np.zeros((height_px, width_px, 3), np.uint8), NO_BOXES, 400)
    assert view.grey.shape[::-1] == view.background.shape[::-1] == expected
    assert_allclose(view.scale * expected, (width_px, height_px))


def test_boxes_are_no_background() -> None:
    """A pixel that a box only touches belongs to it; what lies outside the image does no harm."""
    boxes = np.array([[100, 40, 203, 81], [-50, -50, 8, 8], [790, 10, 900, 20], [900, 10, 990, 20]], np.float32)
    background = View.of(np.zeros((400, 800, 3), np.uint8), boxes, 400).background
    expected = np.full((200, 400), 255, np.uint8)
    expected[20:41, 50:102] = 0
    expected[:4, :4] = 0
    expected[5:10, 395:] = 0
    np.testing.assert_array_equal(background, expected)
