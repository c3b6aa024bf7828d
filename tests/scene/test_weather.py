"""Air against figures worked out by hand."""

import numpy as np

from streamdet.scene.weather import Air


def test_fog_takes_the_contrast() -> None:
    """Koschmieder: at the distance of clarity 1 / e of the difference to the haze is left."""
    air = Air(np.full(3, 0.5), np.full(3, 0.5), 40.0, snow=False)
    seen = air.veil(np.ones((1, 2, 3), np.float32), np.array([[40.0, 0.0]]))
    np.testing.assert_allclose(seen[0, :, 0], [0.5 + 0.5 / np.e, 1.0], rtol=1e-6)
    cover = np.full((4, 4), 255, np.uint8)
    sprite = air.veiled(np.full((4, 4, 3), 255, np.uint8), cover, 40.0)
    np.testing.assert_allclose(sprite, 255 * (0.5 + 0.5 / np.e), atol=2)
