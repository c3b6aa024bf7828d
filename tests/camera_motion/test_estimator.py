"""A camera that stands costs no estimate, one that moves is never missed, and no nonsense gets through."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.camera_motion.estimator import CameraMotion, Method
from streamdet.camera_motion.methods import SparseOpticalFlow
from streamdet.camera_motion.view import View

from .scene import (
    HEIGHT_PX,
    IDENTITY,
    NO_BOXES,
    WIDTH_PX,
    FloatArray,
    between,
    chained,
    error_px,
    filmed,
    pose,
    wall,
    with_person,
)

WALL = wall()
LATE_PX = 2.0  # at a corner, of 768 x 576: 0.15 px of the thumbnail are 0.72 px in the median block


class Counted:
    """A method that counts how often it is asked."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.longer_side_px = method.longer_side_px
        self.calls = 0

    def between(self, before: View, after: View) -> FloatArray | None:
        self.calls += 1
        return self.method.between(before, after)


class Claims:
    """A method that always finds the same motion, in px of the image at 768 px."""

    longer_side_px = WIDTH_PX

    def __init__(self, motion: FloatArray) -> None:
        self.motion = motion

    def between(self, before: View, after: View) -> FloatArray | None:
        return self.motion


def test_a_fixed_camera_costs_no_estimate() -> None:
    """Its exposure changes, its sensor is noisy, and someone of whom no box tells walks by."""
    method, noise = Counted(SparseOpticalFlow()), np.random.default_rng(0)
    camera = CameraMotion(method)
    for step in range(30):
        image, _ = with_person(filmed(WALL, pose(), noise), 10 + 20 * step)
        image = np.asarray(np.clip(image * (1 - 0.3 * np.sin(step / 9)) + step, 0, 255), np.uint8)
        np.testing.assert_array_equal(camera.estimate(image, NO_BOXES), IDENTITY)
    assert method.calls == 0


def test_a_fixed_camera_on_film_costs_no_estimate(data: Path) -> None:
    """People walk through the picture and no box tells where."""
    method = Counted(SparseOpticalFlow())
    camera = CameraMotion(method)
    with av.open(str(data / "videos" / "vtest.avi")) as film:
        for frame, _ in zip(film.decode(video=0), range(300), strict=False):
            np.testing.assert_array_equal(camera.estimate(frame.to_ndarray(format="rgb24"), NO_BOXES), IDENTITY)
    assert method.calls == 0


@pytest.mark.parametrize("drift_px", [0.05, 0.25, 0.6])
def test_a_slow_drift_is_late_and_not_lost(drift_px: float) -> None:
    camera, noise, motions = CameraMotion(SparseOpticalFlow()), np.random.default_rng(0), []
    for step in range(60):
        place = pose(0.8 * drift_px * step, 0.6 * drift_px * step)
        motions.append(camera.estimate(filmed(WALL, place, noise), NO_BOXES))
        assert error_px(chained(motions), between(pose(), place)) < LATE_PX
    assert (len([motion for motion in motions if (motion != IDENTITY).any()]) > 0) == (drift_px * 59 > LATE_PX)


@pytest.mark.parametrize("end", [pose(zoom=1.1), pose(roll_deg=5)], ids=["zoom", "roll"])
def test_what_stays_in_place_in_the_middle_is_not_missed(end: FloatArray) -> None:
    camera, motions = CameraMotion(SparseOpticalFlow()), []
    for share in np.linspace(0, 1, 60):
        place = (1 - share) * pose() + share * end
        motions.append(camera.estimate(filmed(WALL, place), NO_BOXES))
        assert error_px(chained(motions), between(pose(), place)) < LATE_PX


def test_stands_moves_and_stands() -> None:
    """The first step of a motion counts in full, and the frame after the last step costs nothing again."""
    method, noise = Counted(SparseOpticalFlow()), np.random.default_rng(0)
    camera, moving = CameraMotion(method), range(10, 20)
    for step in range(30):
        before, now = (pose(6 * np.clip(s - 9, 0, 10)) for s in (step - 1, step))
        image, boxes = with_person(filmed(WALL, now, noise), 100 + 10 * step)
        motion = camera.estimate(image, boxes)
        assert error_px(motion, between(before, now)) < (0.7 if step in moving else 1e-9)
    assert method.calls == len(moving)


@settings(max_examples=8)
@given(st.lists(st.tuples(st.floats(-12, 12), st.floats(-12, 12)), min_size=1, max_size=12))
def test_any_walk_ends_where_it_ends(steps_px: list[tuple[float, float]]) -> None:
    camera, places = CameraMotion(SparseOpticalFlow()), np.vstack([(0, 0), np.cumsum(steps_px, axis=0)])
    motions = [camera.estimate(filmed(WALL, pose(*place)), NO_BOXES) for place in places]
    assert error_px(chained(motions), between(pose(), pose(*places[-1]))) < LATE_PX


@pytest.mark.parametrize("claim_px", [(30, 0), (-8, 4), (0, 300)])
def test_a_motion_that_the_background_does_not_follow_is_refused(claim_px: tuple[float, float]) -> None:
    claim = np.column_stack([np.eye(2), claim_px])
    camera = CameraMotion(Claims(claim))
    camera.estimate(filmed(WALL, pose()), NO_BOXES)
    np.testing.assert_array_equal(camera.estimate(filmed(WALL, pose(4, 2)), NO_BOXES), IDENTITY)


def test_a_motion_that_the_background_follows_is_passed_on() -> None:
    claim = np.array([[1.0, 0, -4], [0, 1, -2]])
    camera = CameraMotion(Claims(claim))
    camera.estimate(filmed(WALL, pose()), NO_BOXES)
    np.testing.assert_allclose(camera.estimate(filmed(WALL, pose(4, 2)), NO_BOXES), claim, atol=1e-12)


def test_a_scene_that_changed_for_good_costs_one_estimate() -> None:
    """A curtain is drawn over most of the wall while the camera stands."""
    method, noise = Counted(SparseOpticalFlow()), np.random.default_rng(0)
    camera, curtain = CameraMotion(method), filmed(wall(seed=3), pose())
    for step in range(12):
        image = filmed(WALL, pose(), noise)
        if step >= 6:
            image[:, :600] = curtain[:, :600]
        assert error_px(camera.estimate(image, NO_BOXES), IDENTITY) < 0.7
    assert method.calls == 1


def test_another_size_starts_over() -> None:
    method = Counted(SparseOpticalFlow())
    camera, image = CameraMotion(method), filmed(WALL, pose())
    camera.estimate(image, NO_BOXES)
    for width_px, height_px in ((400, 300), (300, 400), (WIDTH_PX, HEIGHT_PX)):
        small = np.ascontiguousarray(image[:height_px, :width_px])
        np.testing.assert_array_equal(camera.estimate(small, NO_BOXES), IDENTITY)
        np.testing.assert_array_equal(camera.estimate(small, NO_BOXES), IDENTITY)
    assert method.calls == 0
