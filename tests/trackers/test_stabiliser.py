"""What finished tracks show of the camera's motion."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from trackers.smoothing import Sightings
from trackers.stabiliser import Stabiliser, common_shift
from trackers.types import FloatArray, IntArray

FRAMES = np.arange(3, 43)


def at_rest(side_px: float, shift: FloatArray, frames: IntArray = FRAMES, noise_px: float = 0.0) -> Sightings:
    """Return an object at rest in an image that is shifted by `shift` (T, 2) in `frames` (T,)."""
    random = np.random.default_rng(round(side_px))
    centres = 10 * side_px + shift + random.normal(0, noise_px, (len(frames), 2))
    return Sightings(frames, np.hstack([centres, np.full((len(frames), 2), side_px)]), np.ones(len(frames)))


def turned(count: int) -> FloatArray:
    """Return the shift (count, 2) of a camera that turns by some px in each frame, to and fro."""
    times = np.arange(count)[:, None]
    shift: FloatArray = np.hstack([60 * np.sin(times / 4), 30 * np.cos(times / 4) - 30])
    return shift


def test_a_turn_of_the_camera_is_what_all_are_shifted_by() -> None:
    shift = turned(len(FRAMES))
    found = common_shift([at_rest(side, shift) for side in range(20, 27)])
    assert_array_equal(found.frames, FRAMES)
    assert_allclose(np.diff(found.path, axis=0), np.diff(shift, axis=0), atol=1)


def test_what_six_share_may_be_chance() -> None:
    found = common_shift([at_rest(side, turned(len(FRAMES))) for side in range(10, 70, 10)])
    assert not found.path.any()


def test_large_objects_that_pass_are_no_turn_of_the_camera() -> None:
    passing = np.arange(len(FRAMES))[:, None] * [12.0, 0]
    near = [at_rest(side, passing) for side in range(150, 200, 10)]
    far = [at_rest(side, np.zeros((len(FRAMES), 2))) for side in range(20, 25)]
    assert np.abs(common_shift([*near, *far]).path).max() < 1


def test_noise_is_hardly_taken_for_a_shift() -> None:
    """Of 20 objects the median moves by a quarter of the noise of each, and by 40 frames as a walk."""
    still = np.zeros((len(FRAMES), 2))
    found = common_shift([at_rest(100 + k, still, noise_px=5.0) for k in range(20)])
    assert np.abs(np.diff(found.path, axis=0)).mean() < 0.5


def test_frames_that_none_was_seen_in_have_the_shift_of_the_last_one() -> None:
    frames = np.array([10, 10**12, 10**12 + 7])
    shift = np.array([[0.0, 0], [20, 0], [50, 0]])
    found = common_shift([at_rest(side, shift, frames) for side in range(10, 90, 10)])
    at = found.at(np.array([1, 10, 10**11, 10**12 + 3, 10**13]))
    assert_allclose(at[:, 0], [0, 0, 0, 20, 50], atol=0.5)


@given(st.integers(0, 2**32 - 1))
def test_boxes_return_from_the_first_image(seed: int) -> None:
    random = np.random.default_rng(seed)
    motion = np.tile(np.eye(2, 3), (50, 1, 1)) + random.normal(0, 0.01, (50, 2, 3))
    camera = Stabiliser(motion, 50)
    camera.follow([at_rest(side, turned(len(FRAMES))) for side in range(10, 90, 10)])
    frames, boxes = random.integers(1, 51, 9), random.uniform(1, 100, (9, 4))
    assert_allclose(camera.from_first(frames, camera.to_first(frames, boxes)), boxes, rtol=1e-9, atol=1e-6)
