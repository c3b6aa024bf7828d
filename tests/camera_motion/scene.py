"""A wall full of posters, and a camera before it whose every motion is known."""

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.types import Float32Array, UInt8Array

FloatArray = npt.NDArray[np.float64]

WIDTH_PX, HEIGHT_PX = 768, 576
NO_BOXES = np.zeros((0, 4), np.float32)
IDENTITY = np.eye(2, 3)


def wall(seed: int = 0, width_px: int = 2000, height_px: int = 1200, posters: int = 900) -> UInt8Array:
    """Return an image of rectangles of all sizes, each of one colour."""
    random = np.random.default_rng(seed)
    image = np.full((height_px, width_px, 3), 128, np.uint8)
    for size_px in np.geomspace(260, 12, posters):
        x, y = int(random.integers(-50, width_px)), int(random.integers(-50, height_px))
        width, height = random.uniform(0.4, 1.0, 2) * size_px
        colour = random.integers(30, 226, 3).tolist()
        cv2.rectangle(image, (x, y), (int(x + width), int(y + height)), colour, cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0), np.uint8)


def pose(x_px: float = 0, y_px: float = 0, zoom: float = 1.0, roll_deg: float = 0.0) -> FloatArray:
    """Return the affine (3, 3) from px of the wall to px of a camera that looks (`x_px`, `y_px`) beside its middle."""
    middle = (1000 + float(x_px), 600 + float(y_px))
    affine = cv2.getRotationMatrix2D(middle, roll_deg, zoom)
    affine[:, 2] += np.subtract((WIDTH_PX / 2, HEIGHT_PX / 2), middle)
    return np.vstack([affine, [0, 0, 1]])


def filmed(image: UInt8Array, camera: FloatArray, noise: np.random.Generator | None = None) -> UInt8Array:
    """Return what the camera sees of the wall; `noise` of 3 grey levels is the sensor's."""
    size = (WIDTH_PX, HEIGHT_PX)
    seen = cv2.warpAffine(image, camera[:2], size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    if noise is not None:
        return np.asarray(np.clip(seen + noise.normal(0, 3, seen.shape), 0, 255), np.uint8)
    return np.asarray(seen, np.uint8)


def with_person(image: UInt8Array, x_px: int, y_px: int = 120) -> tuple[UInt8Array, Float32Array]:
    """Return the image with a colourful person of 130 x 330 px at (`x_px`, `y_px`), and the box (1, 4) around."""
    image, person = image.copy(), wall(seed=9, width_px=130, height_px=330, posters=60)
    image[y_px : y_px + 330, x_px : x_px + 130] = person
    return image, np.array([[x_px, y_px, x_px + 130, y_px + 330]], np.float32)


def between(before: FloatArray, after: FloatArray) -> FloatArray:
    """Return the motion (2, 3) of the picture from one camera to another."""
    return np.asarray((after @ np.linalg.inv(before))[:2])


def error_px(motion: FloatArray, expected: FloatArray, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> float:
    """Return how far the corners of the image land from where they should."""
    corners = np.array([[0, 0, 1], [width_px, 0, 1], [0, height_px, 1], [width_px, height_px, 1.0]])
    return float(np.linalg.norm(corners @ (motion - expected).T, axis=1).max())


def chained(motions: list[FloatArray]) -> FloatArray:
    """Return the motion (2, 3) of all `motions`, one after the other."""
    total = np.eye(3)
    for motion in motions:
        total = np.vstack([motion, [0, 0, 1]]) @ total
    return total[:2]
