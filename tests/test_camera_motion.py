"""The estimated camera motion against known motions of a generated texture, and on a fixed camera's film."""

from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamdet.camera_motion import METHODS, SparseOpticalFlow, camera_motion
from streamdet.types import UInt8Array

WIDTH_PX, HEIGHT_PX = 768, 576
NO_BOXES = np.zeros((0, 4), np.float32)
CORNERS = np.array([[0, 0, 1], [WIDTH_PX, 0, 1], [0, HEIGHT_PX, 1], [WIDTH_PX, HEIGHT_PX, 1.0]])
FloatArray = npt.NDArray[np.float64]


def texture(seed: int = 0) -> UInt8Array:
    """Return smooth random blobs of several sizes."""
    random = np.random.default_rng(seed)
    layers = [
        cv2.resize(random.random((HEIGHT_PX // cell, WIDTH_PX // cell, 3)), (WIDTH_PX, HEIGHT_PX))
        for cell in (64, 24, 12)
    ]
    return np.asarray(np.mean(layers, axis=0) * 255, np.uint8)


def moved(image: UInt8Array, motion: FloatArray) -> UInt8Array:
    """Return the image that a camera sees after `motion`, with new texture at its borders."""
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpAffine(image, motion, size, borderMode=cv2.BORDER_REFLECT), np.uint8)


def similarity(shift_px: tuple[float, float], scale: float = 1.0, angle_deg: float = 0.0) -> FloatArray:
    """Return a motion about the centre of the image."""
    motion = cv2.getRotationMatrix2D((WIDTH_PX / 2, HEIGHT_PX / 2), angle_deg, scale)
    motion[:, 2] += np.array(shift_px)
    return np.asarray(motion, np.float64)


def error_px(motion: FloatArray, expected: FloatArray) -> float:
    """Return how far the corners of the image land from where they should."""
    return float(np.abs(CORNERS @ (motion - expected).T).max())


@pytest.mark.parametrize(
    "motion",
    [
        similarity((0, 0)),
        similarity((7.5, -3.25)),
        similarity((-40, 12)),
        similarity((0, 0), scale=1.03),
        similarity((0, 0), scale=0.97),
        similarity((0, 0), angle_deg=2),
        similarity((9, 4), scale=1.02, angle_deg=-1),
    ],
    ids=["still", "pan", "fast pan", "zoom in", "zoom out", "roll", "all"],
)
def test_finds_a_known_motion(motion: FloatArray) -> None:
    flow = SparseOpticalFlow()
    image = texture()
    assert error_px(flow.estimate(image, NO_BOXES), np.eye(2, 3)) == 0
    assert error_px(flow.estimate(moved(image, motion), NO_BOXES), motion) < 0.8


def test_follows_a_long_pan() -> None:
    """New corners are found as the old ones leave the image."""
    flow = SparseOpticalFlow()
    scene = np.hstack([texture(seed) for seed in range(3)])
    motions = [flow.estimate(scene[:, 16 * step : 16 * step + WIDTH_PX].copy(), NO_BOXES) for step in range(90)]
    expected = similarity((-16, 0))
    assert max(error_px(motion, expected) for motion in motions[1:]) < 0.8


def test_what_moves_in_boxes_is_no_camera_motion() -> None:
    """An object that fills most of the picture moves to the right; only its box tells it from the background."""
    told, misled, background, thing = SparseOpticalFlow(), SparseOpticalFlow(), texture(0), texture(1)
    for step in range(8):
        image, left = background.copy(), 60 + 8 * step
        image[20:556, left : left + 560] = thing[20:556, :560]
        box = np.array([[left, 20, left + 560, 556]], np.float32)
        still, pan = told.estimate(image, box), misled.estimate(image, NO_BOXES)
        assert error_px(still, np.eye(2, 3)) < 0.6
        assert step == 0 or error_px(pan, similarity((8, 0))) < 0.5


def test_a_blank_image_gives_the_identity() -> None:
    flow = SparseOpticalFlow()
    blank = np.full((HEIGHT_PX, WIDTH_PX, 3), 90, np.uint8)
    for image in (blank, blank, texture(), blank, texture()):
        assert error_px(flow.estimate(image, NO_BOXES), np.eye(2, 3)) == 0


def test_boxes_that_leave_no_background_give_the_identity() -> None:
    flow = SparseOpticalFlow()
    everything = np.array([[-20, -20, WIDTH_PX + 20, HEIGHT_PX + 20]], np.float32)
    for step in range(3):
        motion = flow.estimate(moved(texture(), similarity((8 * step, 0))), everything)
        assert error_px(motion, np.eye(2, 3)) == 0


def test_a_cut_gives_the_identity_and_goes_on() -> None:
    flow = SparseOpticalFlow()
    flow.estimate(texture(0), NO_BOXES)
    assert error_px(flow.estimate(texture(7), NO_BOXES), np.eye(2, 3)) == 0
    motion = similarity((6, 2))
    assert error_px(flow.estimate(moved(texture(7), motion), NO_BOXES), motion) < 0.8


def test_another_size_starts_over() -> None:
    flow, small = SparseOpticalFlow(), texture()[:301, :401].copy()
    flow.estimate(texture(), NO_BOXES)
    assert error_px(flow.estimate(small, NO_BOXES), np.eye(2, 3)) == 0
    motion = np.array([[1.0, 0, 5], [0, 1, -3]])
    assert np.abs(flow.estimate(moved(small, motion), NO_BOXES) - motion).max() < 0.3


def test_motion_is_in_pixels_of_the_image_whatever_its_size() -> None:
    large = np.asarray(cv2.resize(texture(), (1920, 1440)), np.uint8)
    flow, motion = SparseOpticalFlow(), np.array([[1.0, 0, 25], [0, 1, 10]])
    flow.estimate(large, NO_BOXES)
    assert np.abs(flow.estimate(moved(large, motion), NO_BOXES) - motion).max() < 0.6


def test_a_fixed_camera_does_not_move(data: Path) -> None:
    """People walk through the picture and no box tells where."""
    flow = SparseOpticalFlow()
    with av.open(str(data / "videos" / "vtest.avi")) as film:
        images = [frame.to_ndarray(format="rgb24") for frame, _ in zip(film.decode(video=0), range(100), strict=False)]
    errors = [error_px(flow.estimate(image, NO_BOXES), np.eye(2, 3)) for image in images]
    assert max(errors) < 0.3
    assert np.median(errors) < 0.05


def test_methods_by_name() -> None:
    assert [type(camera_motion(method)).__name__ for method in METHODS] == ["SparseOpticalFlow", "NoneType"]
    assert camera_motion("sparseOptFlow") is not camera_motion("sparseOptFlow")
