"""Letterboxing: fits an image into a model's input, and maps boxes back to the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from streamdet.types import Float32Array, UInt8Array

# The grey border that the published YOLO weights were trained with.
PADDING = 114


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A resize to `resized_hw`, then padding to `input_hw` by `pad_x` at the left and `pad_y` at the top.

    All are in model px; `scale` is model px per image px.
    """

    interpolation: ClassVar[int] = cv2.INTER_LINEAR

    scale: float
    pad_x: int
    pad_y: int
    resized_hw: tuple[int, int]
    input_hw: tuple[int, int]

    @classmethod
    def fit(cls, image_hw: tuple[int, int], size: int | tuple[int, int], stride: int) -> Letterbox:
        """Return the letterbox for an image of `image_hw` px.

        An integer `size` limits the longer side; both sides are padded to the next multiple of `stride`, so that 16:9
        at 640 becomes 384x640. A pair `size` is the exact (height, width) of the input.
        """
        height, width = image_hw
        bounds = (size, size) if isinstance(size, int) else size
        scale = min(bounds[0] / height, bounds[1] / width)
        resized = (max(round(height * scale), 1), max(round(width * scale), 1))
        if isinstance(size, int):
            bounds = (_next_multiple(resized[0], stride), _next_multiple(resized[1], stride))
        # The odd pixel goes to the bottom and the right.
        pad_y, pad_x = (bounds[0] - resized[0]) // 2, (bounds[1] - resized[1]) // 2
        return cls(scale, pad_x, pad_y, resized, bounds)

    def seen(self, image: Any) -> Any:
        """Return the part of `image` (H, W, 3), an array or a tensor, that is fitted: all of it."""
        return image

    def to_image(self, boxes: Float32Array, image_hw: tuple[int, int]) -> Float32Array:
        """Map xyxy `boxes` f32 (N, 4) from model px to image px, clipped to the image."""
        height, width = image_hw
        return self.places(boxes).clip(0, np.array([width, height] * 2, np.float32))

    def places(self, points: Float32Array) -> Float32Array:
        """Map points f32 (..., 2 n), ``x, y, x, y, ...``, from model px to image px, also beyond the image."""
        # x_image = (x_model - pad) / scale
        pads = np.array([self.pad_x, self.pad_y] * (points.shape[-1] // 2), np.float32)
        moved: Float32Array = (points - pads) / np.float32(self.scale)
        return moved


@dataclass(frozen=True, slots=True)
class CenterCrop(Letterbox):
    """A resize of the largest square in the middle of an image, from column `crop_x` and row `crop_y` on.

    The published classifiers see images in this way: torchvision's ``Resize``, whose pixels are means when an image
    shrinks, and ``CenterCrop`` (https://docs.pytorch.org/vision/stable/transforms.html).
    """

    interpolation: ClassVar[int] = cv2.INTER_AREA

    crop_x: int
    crop_y: int
    side: int

    @classmethod
    def fit(cls, image_hw: tuple[int, int], size: int | tuple[int, int], stride: int) -> CenterCrop:
        """Return the crop of an image of `image_hw` px to a square input of `size` px; `stride` divides it."""
        height, width = image_hw
        side, target = min(height, width), size if isinstance(size, int) else size[0]
        hw = target, target
        return cls(target / side, 0, 0, hw, hw, (width - side) // 2, (height - side) // 2, side)

    def seen(self, image: Any) -> Any:
        """Return the square of `image` (H, W, 3) as a view."""
        return image[self.crop_y : self.crop_y + self.side, self.crop_x : self.crop_x + self.side]


def letterboxed(image: UInt8Array, letterbox: Letterbox) -> UInt8Array:
    """Return `image` uint8 (H, W, 3) as a new model input uint8 (*input_hw, 3), resized bilinearly, on `PADDING`."""
    image = letterbox.seen(image)
    canvas = np.full((*letterbox.input_hw, 3), PADDING, np.uint8)
    height, width = letterbox.resized_hw
    place = canvas[letterbox.pad_y : letterbox.pad_y + height, letterbox.pad_x : letterbox.pad_x + width]
    if image.shape[:2] == (height, width):
        place[:] = image
    else:
        cv2.resize(image, (width, height), dst=place, interpolation=letterbox.interpolation)
    return canvas


def _next_multiple(value: int, step: int) -> int:
    return -(-value // step) * step
