"""Sprites against areas calculated by hand."""

import numpy as np
import pytest

from streamdet.scene.figures import Polygon, rasterise

RED = np.array([1.0, 0.0, 0.0])


def square(left: float, top: float, side: float) -> Polygon:
    corners = np.array([[left, top], [left + side, top], [left + side, top + side], [left, top + side]])
    return Polygon(corners, RED)


def test_a_square_covers_its_pixels() -> None:
    sprite = rasterise([square(20, 30, 10)], (100, 80))
    assert sprite is not None and sprite.silhouette_px == 100
    cover = np.zeros((80, 100), np.uint8)
    cover[sprite.rows, sprite.columns] = sprite.cover
    assert (cover[30:40, 20:30] == 255).all()
    # OpenCV adds the outline, at most a pixel of the picture that is four times larger.
    assert 100 <= int(cover.sum()) / 255 <= 10.5**2
    np.testing.assert_array_equal(sprite.colour[..., 0], sprite.cover)


def test_half_a_pixel_is_half_covered() -> None:
    sprite = rasterise([square(20.5, 30, 10)], (100, 80))
    assert sprite is not None
    column = sprite.cover[5 + 30 - sprite.top, 20 - sprite.left]
    assert int(column) == pytest.approx(128, abs=33)


def test_what_lies_outside_counts_but_is_not_kept() -> None:
    sprite = rasterise([square(-5, 30, 10)], (100, 80))
    assert sprite is not None
    assert sprite.left == 0 and sprite.silhouette_px == 100
    assert (sprite.cover >= 85).sum() == 50


@pytest.mark.parametrize(("left", "top"), [(-20, 30), (101, 30), (20, -30), (20, 85)])
def test_nothing_outside_is_painted(left: float, top: float) -> None:
    assert rasterise([square(left, top, 10)], (100, 80)) is None
    assert rasterise([], (100, 80)) is None
