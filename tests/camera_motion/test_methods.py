"""Every method against known motions of a camera before a wall, with noise and a person who walks by."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from streamdet.camera_motion.estimator import CameraMotion
from streamdet.camera_motion.methods import METHODS, MIN_PAIRS, camera_motion, fit_similarity
from streamdet.types import Float32Array

from .scene import IDENTITY, NO_BOXES, FloatArray, between, chained, error_px, filmed, pose, wall, with_person

WALL = wall()
NAMES = [name for name in METHODS if name != "none"]
TOLERANCE_PX = {"sparseOptFlow": 0.7, "ecc": 0.7, "orb": 1.5, "sift": 0.7}
AFTER = {
    "pan": pose(7.5, -3.25),
    "fast pan": pose(-60, 25),
    "zoom in": pose(zoom=1.03),
    "zoom out": pose(zoom=0.97),
    "roll": pose(roll_deg=2),
    "all": pose(12, 5, zoom=1.02, roll_deg=-1),
}


def estimator(name: str) -> CameraMotion:
    camera = camera_motion(name)
    assert camera is not None
    return camera


@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER)
@pytest.mark.parametrize("name", NAMES)
def test_finds_a_known_motion(name: str, after: FloatArray) -> None:
    """The person walks on while the camera moves."""
    camera, noise = estimator(name), np.random.default_rng(0)
    first = camera.estimate(*with_person(filmed(WALL, pose(), noise), 300))
    second = camera.estimate(*with_person(filmed(WALL, after, noise), 320))
    np.testing.assert_array_equal(first, IDENTITY)
    assert error_px(second, between(pose(), after)) < TOLERANCE_PX[name]


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_the_motion_of_dropped_frames_is_in_the_next(name: str, stride: int) -> None:
    """Whatever frames are left out, the motions between the others lead to the same place."""
    camera, noise = estimator(name), np.random.default_rng(0)
    path = [pose(15 * step, 4 * step, 1.005**step, 0.2 * step) for step in range(0, 13, stride)]
    motions = [camera.estimate(filmed(WALL, place, noise), NO_BOXES) for place in path]
    errors = [error_px(motion, between(*places)) for motion, places in zip(motions[1:], pairwise(path), strict=True)]
    assert max(errors) < TOLERANCE_PX[name]
    assert error_px(chained(motions), between(path[0], path[-1])) < 3 * TOLERANCE_PX[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_without_texture_has_no_motion(name: str) -> None:
    camera, grey = estimator(name), np.full((576, 768, 3), 90, np.uint8)
    for image in (grey, grey, filmed(WALL, pose()), grey):
        np.testing.assert_array_equal(camera.estimate(image, NO_BOXES), IDENTITY)


@pytest.mark.parametrize("name", NAMES)
def test_boxes_that_leave_no_background_leave_no_motion(name: str) -> None:
    camera, everything = estimator(name), np.array([[-20, -20, 800, 600]], np.float32)
    for step in range(3):
        np.testing.assert_array_equal(camera.estimate(filmed(WALL, pose(8 * step)), everything), IDENTITY)


@pytest.mark.parametrize("name", NAMES)
def test_goes_on_after_a_cut(name: str) -> None:
    camera, elsewhere = estimator(name), wall(seed=1)
    camera.estimate(filmed(WALL, pose()), NO_BOXES)
    np.testing.assert_array_equal(camera.estimate(filmed(elsewhere, pose()), NO_BOXES), IDENTITY)
    motion = camera.estimate(filmed(elsewhere, pose(6, 2)), NO_BOXES)
    assert error_px(motion, between(pose(), pose(6, 2))) < TOLERANCE_PX[name]


@pytest.mark.parametrize("name", NAMES)
def test_motion_is_in_pixels_of_the_image_whatever_its_size(name: str) -> None:
    """1366 x 768 has no common divisor with the views, and 60 x 44 is smaller than all of them."""
    for width_px, height_px, shift_px in ((1366, 768, 20), (200, 150, 4)):
        camera = estimator(name)
        images = [np.ascontiguousarray(WALL[300 : 300 + height_px, x : x + width_px]) for x in (400, 400 + shift_px)]
        motion = [camera.estimate(image, NO_BOXES) for image in images][1]
        expected = np.array([[1.0, 0, -shift_px], [0, 1, 0]])
        assert error_px(motion, expected, width_px, height_px) < TOLERANCE_PX[name] * max(1, width_px / 768)


@pytest.mark.parametrize("name", ["sparseOptFlow", "sift"])
def test_an_unknown_object_does_not_mislead(name: str) -> None:
    """No box tells of the person, who walks against the camera's pan: most of the picture still shows the pan."""
    camera, motions = estimator(name), []
    for step in range(5):
        image, _ = with_person(filmed(WALL, pose(10 * step)), 200 + 15 * step)
        motions.append(camera.estimate(image, NO_BOXES))
    assert max(error_px(motion, between(pose(), pose(10))) for motion in motions[1:]) < 1


@pytest.mark.parametrize("name", NAMES)
def test_estimators_share_nothing(name: str) -> None:
    """Two of them, fed in turns, answer like each alone; and like themselves another time."""
    films = [[filmed(WALL, pose(side * 9 * step)) for step in range(4)] for side in (1, -1)]
    alone = [[camera.estimate(image, NO_BOXES) for image in film] for film in films for camera in [estimator(name)]]
    cameras = estimator(name), estimator(name)
    turns = [
        [camera.estimate(image, NO_BOXES) for camera, image in zip(cameras, pair, strict=True)]
        for pair in zip(*films, strict=True)
    ]
    np.testing.assert_array_equal(np.array(turns).swapaxes(0, 1), np.array(alone))


def test_methods_by_name() -> None:
    assert METHODS == ("sparseOptFlow", "ecc", "orb", "sift", "none")
    assert camera_motion("none") is None
    with pytest.raises(KeyError):
        camera_motion("SIFT")


def test_ecc_finds_a_change_of_shape_that_no_similarity_has() -> None:
    """The picture gets wider and no higher, as when a camera turns."""
    camera, wider = estimator("ecc"), np.array([[1.02, 0, -5], [0, 1, 0]])
    before = filmed(WALL, pose())
    camera.estimate(before, NO_BOXES)
    after = np.asarray(cv2.warpAffine(before, wider, before.shape[1::-1], borderMode=cv2.BORDER_REFLECT), np.uint8)
    assert error_px(camera.estimate(after, NO_BOXES), wider) < 0.7


MOTION = np.array([[1.02, -0.03, 7.5], [0.03, 1.02, -4.25]])


def pairs(count: int, strays: int) -> tuple[Float32Array, Float32Array]:
    """Return `count` pairs that follow MOTION and then `strays` that follow nothing."""
    random = np.random.default_rng(0)
    before = random.uniform(0, 400, (count + strays, 2))
    after = np.where(np.arange(count + strays)[:, None] < count, before @ MOTION[:, :2].T + MOTION[:, 2], before[::-1])
    return before.astype(np.float32), (after + random.normal(0, 0.05, after.shape)).astype(np.float32)


@pytest.mark.parametrize(("count", "strays"), [(MIN_PAIRS, 0), (60, 40), (60, 110)])
def test_strays_do_no_harm(count: int, strays: int) -> None:
    motion = fit_similarity(*pairs(count, strays), tolerance_px=1.0)
    assert motion is not None
    np.testing.assert_allclose(motion @ [200, 200, 1], MOTION @ [200, 200, 1], atol=0.1)
    np.testing.assert_allclose(motion[:, :2], MOTION[:, :2], atol=2e-3)


@pytest.mark.parametrize(("count", "strays"), [(0, 0), (MIN_PAIRS - 1, 0), (MIN_PAIRS - 4, 30), (30, 170)])
def test_too_few_that_move_together_are_no_background(count: int, strays: int) -> None:
    assert fit_similarity(*pairs(count, strays), tolerance_px=1.0) is None
