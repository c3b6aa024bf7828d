"""What a method sees of a frame: a reduced grey image, and where its background is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.types import Float32Array, UInt8Array

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A frame as the methods see it.

    `grey` is uint8 (h, w); `background` is uint8 (h, w), 0 where things may move on their own and 255 elsewhere;
    `scale` f64 (2,) is the size of a pixel of the view in px of the image, in x and in y.
    """

    grey: UInt8Array
    background: UInt8Array
    scale: FloatArray

    @classmethod
    def of(cls, image: UInt8Array, boxes: Float32Array, longer_side_px: int) -> View:
        """Reduce `image` uint8 (H, W, 3) RGB to a longer side of at most `longer_side_px`.

        `boxes` (N, 4) x1, y1, x2, y2 in px of the image are where things may move on their own.
        """
        height_px, width_px = image.shape[:2]
        size = reduced_hw((height_px, width_px), longer_side_px)[::-1]
        # Reduced before it loses its colour: that touches far fewer pixels, and bilinear touches the fewest.
        grey = np.asarray(cv2.cvtColor(cv2.resize(image, size), cv2.COLOR_RGB2GRAY), np.uint8)
        scale = pixel_size((height_px, width_px), grey)
        return cls(grey, _background(grey, boxes / np.tile(scale, 2)), scale)


def reduced_hw(image_hw: tuple[int, int], longer_side_px: int) -> tuple[int, int]:
    """Return height and width in px of an image of `image_hw` whose longer side is reduced to `longer_side_px`."""
    factor = max(1.0, max(image_hw) / longer_side_px)
    height_px, width_px = (max(1, round(side_px / factor)) for side_px in image_hw)
    return height_px, width_px


def pixel_size(image_hw: tuple[int, int], reduced: npt.NDArray[Any]) -> FloatArray:
    """Return the size (2,), in x and in y, of a pixel of `reduced` (h, w) in px of an image of `image_hw`."""
    scale: FloatArray = np.array(image_hw[::-1]) / reduced.shape[::-1]
    return scale


def rescaled(motion: FloatArray, scale: FloatArray) -> FloatArray:
    """Return `motion` (2, 3) in px as one in px of an image `scale` (2,) times the size; both count from px centres."""
    # with P = S p + c and p' = A p + t:  P' = S A S^-1 P + S t + c - S A S^-1 c
    centre = (scale - 1) / 2
    linear = scale[:, None] * motion[:, :2] / scale
    return np.column_stack([linear, scale * motion[:, 2] + centre - linear @ centre])


def _background(grey: UInt8Array, boxes: FloatArray) -> UInt8Array:
    """Return 0 in `boxes`, 255 elsewhere."""
    background = np.full(grey.shape, 255, np.uint8)
    corners = np.column_stack([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])])
    for x1, y1, x2, y2 in np.clip(corners, 0, max(grey.shape)).astype(int):
        background[y1:y2, x1:x2] = 0
    return background
