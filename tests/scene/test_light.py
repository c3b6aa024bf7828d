"""Light against figures worked out by hand."""

import numpy as np

from streamdet.scene.light import Light


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
