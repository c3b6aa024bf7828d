"""Which pixels a box holds, and what becomes of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from streamdet.appearance.crops import cut, normalised, pixel_bounds
from streamdet.types import Float32Array

HEIGHT_PX, WIDTH_PX = 6, 10
COORDINATE = st.floats(-20, 20, width=32)


def boxes(*rows: tuple[float, float, float, float]) -> Float32Array:
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("box", "bounds"),
    [
        pytest.param((2, 1, 5, 4), (2, 1, 5, 4), id="whole"),
        pytest.param((2.4, 1.6, 5.4, 4.6), (2, 2, 5, 5), id="rounded"),
        pytest.param((2.5, 1.5, 3.5, 2.5), (2, 1, 3, 2), id="halves"),
        pytest.param((-3, -2, 4, 3), (0, 0, 4, 3), id="over the upper left"),
        pytest.param((7, 4, 99, 99), (7, 4, 10, 6), id="over the lower right"),
        pytest.param((-np.inf, -np.inf, np.inf, np.inf), (0, 0, 10, 6), id="endless"),
        pytest.param((2, 2, 2, 4), (0, 0, 0, 0), id="no width"),
        pytest.param((5, 4, 2, 1), (0, 0, 0, 0), id="inside out"),
        pytest.param((2.6, 1, 3.4, 4), (0, 0, 0, 0), id="between centres"),
        pytest.param((-9, 1, -1, 4), (0, 0, 0, 0), id="left of the image"),
        pytest.param((10, 1, 14, 4), (0, 0, 0, 0), id="right of the image"),
        pytest.param((np.nan, 1, 4, 4), (0, 0, 0, 0), id="not a number"),
    ],
)
def test_the_pixels_of_a_box(box: tuple[float, ...], bounds: tuple[int, ...]) -> None:
    found = pixel_bounds(np.array([box], np.float32), (HEIGHT_PX, WIDTH_PX))
    assert found.dtype == np.int64
    assert_array_equal(found, [bounds])


@given(st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE), max_size=4))
def test_a_pixel_is_taken_when_the_box_holds_its_centre(rows: list[tuple[float, float, float, float]]) -> None:
    x, y = np.arange(WIDTH_PX) + 0.5, np.arange(HEIGHT_PX) + 0.5
    found = pixel_bounds(boxes(*rows), (HEIGHT_PX, WIDTH_PX))
    assert found.shape == (len(rows), 4)
    for (x1, y1, x2, y2), (left, top, right, bottom) in zip(rows, found, strict=True):
        held = np.outer((y1 <= y) & (y < y2), (x1 <= x) & (x < x2))
        taken = np.zeros((HEIGHT_PX, WIDTH_PX), bool)
        taken[top:bottom, left:right] = True
        assert_array_equal(taken, held)


def test_crops_of_the_same_size_are_the_pixels_themselves() -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    crops = cut(image, np.array([[1, 2, 4, 6], [7, 0, 10, 4]]), (4, 3))
    assert_array_equal(crops, [image[2:6, 1:4], image[0:4, 7:10]])


def test_a_crop_is_enlarged_without_its_surroundings() -> None:
    image = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    image[1:3, 2:4] = [[[0] * 3, [100] * 3]] * 2
    (crop,) = cut(image, np.array([[2, 1, 4, 3]]), (4, 4))
    # Bilinear, pixel centres at 1/2: the four columns lie at -1/4, 1/4, 3/4 and 5/4 of the way from 0 to 100.
    assert_array_equal(crop, np.broadcast_to(np.array([0, 25, 75, 100], np.uint8)[:, None], (4, 4, 3)))


def test_normalised_by_the_statistics_of_imagenet() -> None:
    crops = np.array([[[[0, 0, 0], [255, 255, 255]]], [[[255, 0, 0], [0, 0, 255]]]], np.uint8)
    black = [-2.117904, -2.035714, -1.804444]  # -mean / deviation
    white = [2.248908, 2.428571, 2.640000]  # (1 - mean) / deviation
    pixels = normalised(crops)
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    assert_allclose(pixels[0, :, 0], np.transpose([black, white]), atol=1e-6)
    assert_allclose(pixels[1, :, 0, 0], [white[0], black[1], black[2]], atol=1e-6)
    assert_allclose(pixels[1, :, 0, 1], [black[0], black[1], white[2]], atol=1e-6)
