"""What methods see of a frame: a reduced image, its background, and thumbnails."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from streamdet.camera_motion.view import Thumbnail, View, block_shifts, rescaled, share_improved

from .scene import NO_BOXES, FloatArray, between, filmed, pose, wall

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
    view = View.from_image(np.zeros((height_px, width_px, 3), np.uint8), NO_BOXES, 400)
    assert view.grey.shape[::-1] == view.background.shape[::-1] == expected
    assert_allclose(view.scale * expected, (width_px, height_px))


def test_boxes_are_no_background() -> None:
    """A pixel that a box only touches belongs to it; what lies outside the image does no harm."""
    boxes = np.array([[100, 40, 203, 81], [-50, -50, 8, 8], [790, 10, 900, 20], [900, 10, 990, 20]], np.float32)
    background = View.from_image(np.zeros((400, 800, 3), np.uint8), boxes, 400).background
    expected = np.full((200, 400), 255, np.uint8)
    expected[20:41, 50:102] = 0
    expected[:4, :4] = 0
    expected[5:10, 395:] = 0
    np.testing.assert_array_equal(background, expected)


WALL = wall()
STANDING = Thumbnail.from_image(filmed(WALL, pose()), NO_BOXES)
SCALE = 4.8  # 768 / 160


@settings(max_examples=25)
@given(st.floats(-3, 3), st.floats(-3, 3))
def test_the_median_block_measures_a_shift_below_a_pixel(x_px: float, y_px: float) -> None:
    shifted = Thumbnail.from_image(filmed(WALL, pose(x_px, y_px)), NO_BOXES)
    expected = np.hypot(x_px, y_px) / SCALE
    assert abs(np.median(block_shifts(STANDING, shifted)) - expected) < 0.04 + 0.25 * expected


@settings(max_examples=25)
@given(st.floats(40, 700), st.sampled_from([-1, 1]))
def test_no_large_shift_looks_like_none(distance_px: float, side: int) -> None:
    shifted = Thumbnail.from_image(filmed(WALL, pose(side * distance_px)), NO_BOXES)
    assert np.median(block_shifts(STANDING, shifted)) > 0.5


@settings(max_examples=25)
@given(st.floats(0.6, 1.2), st.floats(-20, 20))
def test_exposure_is_no_shift(gain: float, offset: float) -> None:
    image = np.clip(filmed(WALL, pose()) * gain + offset, 0, 255).astype(np.uint8)
    assert np.median(block_shifts(STANDING, Thumbnail.from_image(image, NO_BOXES))) < 0.05


def test_only_textured_background_is_measured() -> None:
    """Of 6 x 8 blocks, half of the columns are grey; the neighbourhood of a pixel reaches into one of them."""
    image = filmed(WALL, pose())
    image[:, :384] = 128
    seen, covered = (
        Thumbnail.from_image(image, boxes) for boxes in (NO_BOXES, np.array([[0, 0, 768, 192]], np.float32))
    )
    np.testing.assert_array_equal(block_shifts(seen, seen), np.zeros(6 * 5))
    np.testing.assert_array_equal(block_shifts(seen, covered), np.zeros(4 * 5))
    np.testing.assert_array_equal(block_shifts(covered, seen), np.zeros(4 * 5))


def test_only_the_true_motion_brings_the_blocks_nearer() -> None:
    place = pose(9, -4, zoom=1.02, roll_deg=1)
    after, true = Thumbnail.from_image(filmed(WALL, place), NO_BOXES), between(pose(), place)
    assert share_improved(STANDING, after, true) == 1
    for wrong in (pose(60, 30), pose(-9, 4, zoom=0.98, roll_deg=-1), pose(roll_deg=20)):
        assert share_improved(STANDING, after, between(pose(), wrong)) < 0.2


def test_without_common_background_nothing_comes_nearer() -> None:
    assert share_improved(STANDING, STANDING, np.array([[1.0, 0, 900], [0, 1, 0]])) == 0
