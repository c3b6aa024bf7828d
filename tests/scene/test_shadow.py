"""Shadows against their projection."""

import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.shadow import darken

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
