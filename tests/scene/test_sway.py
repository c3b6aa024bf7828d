"""A camera that moves stays on its canvas, and one that is fixed stays where it is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamdet.scene.sway import MANNERS, Sway


def test_a_fixed_camera_needs_no_margin() -> None:
    sway = Sway(MANNERS["fixed"], (64, 48), np.random.default_rng(0))
    assert sway.canvas_size == (64, 48)
    np.testing.assert_array_equal(sway.to_image(3.3), np.eye(2, 3))


@given(manner=st.sampled_from(sorted(MANNERS)), seed=st.integers(0, 99), time_s=st.floats(0, 60))
def test_the_picture_never_leaves_the_canvas(manner: str, seed: int, time_s: float) -> None:
    sway = Sway(MANNERS[manner], (640, 360), np.random.default_rng(seed))
    affine = sway.to_image(time_s)
    corners = np.array([[0, 0], [640, 0], [0, 360], [640, 360]], float)
    on_canvas = (corners - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    assert (on_canvas >= 0).all() and (on_canvas <= sway.canvas_size).all()


def test_a_panning_camera_moves_the_picture() -> None:
    sway = Sway(MANNERS["pan"], (640, 360), np.random.default_rng(1))
    shifts = np.array([sway.to_image(time_s)[0, 2] for time_s in np.arange(0, 20, 0.5)])
    assert np.ptp(shifts) > 20
    assert np.abs(np.diff(shifts)).max() < 20
