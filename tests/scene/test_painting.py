"""Sprites, shadows, textures, light and air against figures worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.scene.camera import Camera
from streamdet.scene.light import Light
from streamdet.scene.noise import between, lines
from streamdet.scene.sensor import Sensor
from streamdet.scene.shadow import darken
from streamdet.scene.sprite import Polygon, rasterise
from streamdet.scene.weather import Air

DOWN = Camera((0.0, 0.0, 10.0), yaw=0.0, pitch=np.pi / 2, focal=100.0, centre=(50.0, 50.0))
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


def test_a_shadow_darkens_the_ground_alone() -> None:
    """A square of 4 m under a camera 10 m up is 40 px wide; the right half of the picture is no ground."""
    image, shown = np.full((100, 100, 3), 200, np.uint8), np.zeros((100, 100), np.uint8)
    shown[:, 50:] = 1
    outline = np.array([[-2, -2, 0], [2, -2, 0], [2, 2, 0], [-2, 2, 0]], float)
    darken(image, [outline], 0.5, DOWN, shown)
    assert (image[40:60, 35:50] == 100).all()
    assert (image[:, 50:] == 200).all()
    assert (image[:25] == 200).all() and (image[:, :25] == 200).all()


@given(low=st.floats(-3, 3), width=st.floats(0.1, 4), footprint=st.floats(0.01, 2))
def test_a_strip_covers_as_much_as_it_is_wide(low: float, width: float, footprint: float) -> None:
    centres = (np.arange(-20, 20, footprint) + footprint / 2).astype(np.float32)
    share = between(centres, low, low + width, np.full_like(centres, footprint))
    assert share.sum() * footprint == pytest.approx(width, rel=0.02, abs=0.01)


@given(footprint=st.floats(0.01, 3))
def test_lines_cover_their_share_however_far_away(footprint: float) -> None:
    centres = np.linspace(0, 30, 4001, dtype=np.float32)
    assert lines(centres, 3.0, 0.6, np.full_like(centres, footprint)).mean() == pytest.approx(0.2, abs=0.01)


def test_light_of_sky_sun_and_lamps() -> None:
    """E = E_sky (3 + n_z) / 4 + E_sun n . s; a lamp gives a quarter 7 m away."""
    light = Light(
        np.full(3, 0.4),
        np.full(3, 0.5),
        np.array([0.0, 0.6, 0.8]),
        0.5,
        True,
        np.full(3, 0.8),
        np.array([[0.0, 0.0, 6.0]]),
    )
    normals = np.array([[0.0, 0, 1], [0, 1, 0], [0, -1, 0]])
    shade = light.shade(normals, np.full(3, 0.4))[:, 0]
    np.testing.assert_allclose(shade, [0.4 + 0.5 * 0.8, 0.3 + 0.5 * 0.6, 0.3])
    around = light.around(np.array([[0.0, 0, 0], [7.0, 0, 0]]))[:, 0]
    np.testing.assert_allclose(around, [0.4 + 0.8, 0.4 + 0.8 / 4])


def test_fog_takes_the_contrast() -> None:
    """Koschmieder: at the distance of clarity 1 / e of the difference to the haze is left."""
    air = Air(np.full(3, 0.5), np.full(3, 0.5), 40.0, snow=False)
    seen = air.veil(np.ones((1, 2, 3), np.float32), np.array([[40.0, 0.0]]))
    np.testing.assert_allclose(seen[0, :, 0], [0.5 + 0.5 / np.e, 1.0], rtol=1e-6)
    cover = np.full((4, 4), 255, np.uint8)
    sprite = air.veiled(np.full((4, 4, 3), 255, np.uint8), cover, 40.0)
    np.testing.assert_allclose(sprite, 255 * (0.5 + 0.5 / np.e), atol=2)


def test_the_exposure_follows_the_light() -> None:
    """A dim view and a bright one come out with about the same grey."""
    greys = []
    for level in (90, 180):
        view = np.full((64, 96, 3), level, np.uint8)
        greys.append(Sensor(np.random.default_rng(5), (96, 64), view, dark=False).expose(view, 0).mean())
    assert greys[0] == pytest.approx(greys[1], rel=0.1)


def test_noise_differs_between_frames_and_not_between_calls() -> None:
    view = np.full((64, 96, 3), 120, np.uint8)
    sensor = Sensor(np.random.default_rng(5), (96, 64), view, dark=True)
    first, again, second = (sensor.expose(view, index).astype(int) for index in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert 1 < np.abs(first - second).mean() < 15
