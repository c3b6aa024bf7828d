"""Pictures of the reference, and frames made of them."""

import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from streamdet.types import Frame, UInt8Array

NAMES = ["one-by-one-person-detection_300", "car-detection_200", "bottle-detection_300", "MOT17-04_000001"]


def picture(data: Path, name: str) -> UInt8Array:
    """Return a frame of the reference, uint8 (H, W, 3) RGB."""
    image = cv2.imread(str(data / "oracles" / "yolov8n" / f"{name}.png"))
    assert image is not None
    return np.ascontiguousarray(image[:, :, ::-1])


def to_frame(image: Any, index: int = 0) -> Frame:
    """Return the image as a frame of a video of 25 Hz."""
    return Frame(index, index, Fraction(1, 25), image, "test", time.monotonic())
