"""Fits an image into the input of a model."""

from __future__ import annotations

import cv2
import numpy as np

from streamdet.geometry import Letterbox
from streamdet.types import UInt8Array

# The grey that the published YOLO weights were trained with around their images.
PADDING = 114


def letterbox_into(canvas: UInt8Array, image: UInt8Array, letterbox: Letterbox) -> None:
    """Resize `image` uint8 (H, W, 3) bilinearly into its place in `canvas` (`letterbox.input_hw`, 3).

    Only that place is written: a canvas starts out filled with PADDING and keeps its border between frames.
    """
    height, width = letterbox.resized_hw
    place = canvas[letterbox.pad_y : letterbox.pad_y + height, letterbox.pad_x : letterbox.pad_x + width]
    if image.shape[:2] == (height, width):
        place[:] = image
    else:
        cv2.resize(image, (width, height), dst=place, interpolation=cv2.INTER_LINEAR)


def new_canvas(letterbox: Letterbox) -> UInt8Array:
    """Return an empty model input, uint8 (H, W, 3)."""
    return np.full((*letterbox.input_hw, 3), PADDING, np.uint8)
