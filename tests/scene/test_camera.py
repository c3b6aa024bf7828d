"""The camera of a scene: its projection, its sway and its sensor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.scene.camera import MANNERS, Camera, Sensor, Sway

LEVEL = Camera((0.0, 0.0, 5.0), yaw=0.0, pitch=0.0, focal=100.0, centre=(50.0, 40.0))


@pytest.mark.parametrize(
    ("point", "expected", "depth"),
    [
        ((10, 0, 5), (50, 40), 10),
        ((10, -2, 5), (50 + 100 * 2 / 10, 40), 10),  # right is where y falls
        ((10, 0, 3), (50, 40 + 100 * 2 / 10), 10),
        ((20, 4, 9), (50 - 100 * 4 / 20, 40 - 100 * 4 / 20), 20),
    ],
)
def test_a_level_camera_along_the_street(point: tuple[float, ...], expected: tuple[float, ...], depth: float) -> None:
    px, depths = LEVEL.project(np.array([point], float))
    np.testing.assert_allclose(px[0], expected)
    np.testing.assert_allclose(depths, [depth])


def test_yaw_turns_left_and_pitch_down() -> None:
    """From 5 m up and 45 degrees down, the axis meets the ground 5 m ahead, 5 sqrt(2) m away."""
    camera = Camera((1.0, 2.0, 5.0), yaw=np.pi / 2, pitch=np.pi / 4, focal=100.0, centre=(50.0, 40.0))
    px, depth = camera.project(np.array([[1.0, 7.0, 0.0]]))
    np.testing.assert_allclose(px, [[50, 40]], atol=1e-9)
    np.testing.assert_allclose(depth, [5 * np.sqrt(2)])
    np.testing.assert_allclose(camera.px_per_m(depth), [100 / (5 * np.sqrt(2))])


@given(x=st.floats(0, 100), y=st.floats(41, 80), yaw=st.floats(-3, 3), pitch=st.floats(0, 1), height=st.floats(1, 20))
def test_a_place_on_the_ground_projects_back(x: float, y: float, yaw: float, pitch: float, height: float) -> None:
    camera = Camera((3.0, -1.0, height), yaw, pitch, 100.0, (50.0, 40.0))
    place = camera.ground_point(x, y)
    assert place is not None
    px, depth = camera.project(np.array([[*place, 0.0]]))
    if depth[0] > 0.8:
        np.testing.assert_allclose(px[0], (x, y), rtol=1e-6, atol=1e-6)


def test_above_the_horizon_there_is_no_ground() -> None:
    assert LEVEL.ground_point(50, 40) is None
    assert LEVEL.ground_point(50, 10) is None


def test_rays_go_through_the_centres_of_the_pixels() -> None:
    rays = LEVEL.rays(100, 80)
    points = np.array(LEVEL.position) + 7 * rays[[10, 40], [20, 99]]
    px, depth = LEVEL.project(points.astype(float))
    np.testing.assert_allclose(px, [[20.5, 10.5], [99.5, 40.5]], rtol=1e-5)
    np.testing.assert_allclose(depth, [7, 7], rtol=1e-5)


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
