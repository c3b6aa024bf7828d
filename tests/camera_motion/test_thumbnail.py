"""The shifts of a thumbnail's blocks against known shifts of the image."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.camera_motion.thumbnail import Thumbnail, block_shifts, share_nearer

from .scene import NO_BOXES, between, filmed, pose, wall

WALL = wall()
STANDING = Thumbnail.of(filmed(WALL, pose()), NO_BOXES)
SCALE = 4.8  # 768 / 160


@settings(max_examples=25)
@given(st.floats(-3, 3), st.floats(-3, 3))
def test_the_median_block_measures_a_shift_below_a_pixel(x_px: float, y_px: float) -> None:
    shifted = Thumbnail.of(filmed(WALL, pose(x_px, y_px)), NO_BOXES)
    expected = np.hypot(x_px, y_px) / SCALE
    assert abs(np.median(block_shifts(STANDING, shifted)) - expected) < 0.04 + 0.25 * expected


@settings(max_examples=25)
@given(st.floats(40, 700), st.sampled_from([-1, 1]))
def test_no_large_shift_looks_like_none(distance_px: float, side: int) -> None:
    shifted = Thumbnail.of(filmed(WALL, pose(side * distance_px)), NO_BOXES)
    assert np.median(block_shifts(STANDING, shifted)) > 0.5


@settings(max_examples=25)
@given(st.floats(0.6, 1.2), st.floats(-20, 20))
def test_exposure_is_no_shift(gain: float, offset: float) -> None:
    image = np.clip(filmed(WALL, pose()) * gain + offset, 0, 255).astype(np.uint8)
    assert np.median(block_shifts(STANDING, Thumbnail.of(image, NO_BOXES))) < 0.05


def test_only_textured_background_is_measured() -> None:
    """Of 6 x 8 blocks, half of the columns are grey; the neighbourhood of a pixel reaches into one of them."""
    image = filmed(WALL, pose())
    image[:, :384] = 128
    seen, covered = (Thumbnail.of(image, boxes) for boxes in (NO_BOXES, np.array([[0, 0, 768, 192]], np.float32)))
    np.testing.assert_array_equal(block_shifts(seen, seen), np.zeros(6 * 5))
    np.testing.assert_array_equal(block_shifts(seen, covered), np.zeros(4 * 5))
    np.testing.assert_array_equal(block_shifts(covered, seen), np.zeros(4 * 5))


def test_only_the_true_motion_brings_the_blocks_nearer() -> None:
    place = pose(9, -4, zoom=1.02, roll_deg=1)
    after, true = Thumbnail.of(filmed(WALL, place), NO_BOXES), between(pose(), place)
    assert share_nearer(STANDING, after, true) == 1
    for wrong in (pose(60, 30), pose(-9, 4, zoom=0.98, roll_deg=-1), pose(roll_deg=20)):
        assert share_nearer(STANDING, after, between(pose(), wrong)) < 0.2


def test_without_common_background_nothing_comes_nearer() -> None:
    assert share_nearer(STANDING, STANDING, np.array([[1.0, 0, 900], [0, 1, 0]])) == 0
