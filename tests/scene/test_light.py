"""Sun, weather and shadows."""

import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.light import Air, Light, darken


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
    sprite = air.veil_sprite(np.full((4, 4, 3), 255, np.uint8), cover, 40.0)
    np.testing.assert_allclose(sprite, 255 * (0.5 + 0.5 / np.e), atol=2)


DOWN = Camera((0.0, 0.0, 10.0), yaw=0.0, pitch=np.pi / 2, focal=100.0, centre=(50.0, 50.0))


def test_a_shadow_darkens_the_ground_alone() -> None:
    """A square of 4 m under a camera 10 m up is 40 px wide; the right half of the picture is no ground."""
    image, shown = np.full((100, 100, 3), 200, np.uint8), np.zeros((100, 100), np.uint8)
    shown[:, 50:] = 1
    outline = np.array([[-2, -2, 0], [2, -2, 0], [2, 2, 0], [-2, 2, 0]], float)
    darken(image, [outline], 0.5, DOWN, shown)
    assert (image[40:60, 35:50] == 100).all()
    assert (image[:, 50:] == 200).all()
    assert (image[:25] == 200).all() and (image[:, :25] == 200).all()
