"""Reduced images of a frame: a `View`, the input of the methods, and a `Thumbnail` that shows cheaply whether it moved.

Both mark the background: the image without the boxes of objects, which may move on their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.types import Float32Array, Float64Array, UInt8Array

THUMBNAIL_SIDE_PX = 160  # the longer side
BLUR_SIGMA_PX = 1.0
NEIGHBOURHOOD_PX = (21, 21)  # over which the mean brightness and the contrast of a pixel are taken
CONTRAST_FLOOR = 8.0  # grey levels; lower contrast is taken for noise
BLOCK_PX = 20  # the side of the blocks whose shifts are measured
MIN_TEXTURE = 1e-3  # mean squared gradient of a block, per px^2, from which on its shift can be measured


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A reduced grey image of a frame and a mask of its background: the input of every method.

    `grey` is uint8 (h, w); `background` is uint8 (h, w), 0 in boxes of objects and 255 elsewhere; `scale` f64 (2,) is
    the size of a pixel of the view in px of the image, in x and in y.
    """

    grey: UInt8Array
    background: UInt8Array
    scale: Float64Array

    @classmethod
    def from_image(cls, image: UInt8Array, boxes: Float32Array, longer_side_px: int) -> View:
        """Return the view of `image` uint8 (H, W, 3) RGB with a longer side of at most `longer_side_px`.

        `boxes` (N, 4) x1, y1, x2, y2 in px of the image are those of objects.
        """
        height_px, width_px = image.shape[:2]
        size = reduced_hw((height_px, width_px), longer_side_px)[::-1]
        # Reduced before it is converted to grey, and by bilinear sampling: that reads the fewest pixels.
        grey = np.asarray(cv2.cvtColor(cv2.resize(image, size), cv2.COLOR_RGB2GRAY), np.uint8)
        scale = pixel_size((height_px, width_px), grey)
        return cls(grey, _background(grey, boxes / np.tile(scale, 2)), scale)


def reduced_hw(image_hw: tuple[int, int], longer_side_px: int) -> tuple[int, int]:
    """Return height and width in px of an image of `image_hw` whose longer side is reduced to `longer_side_px`."""
    factor = max(1.0, max(image_hw) / longer_side_px)
    height_px, width_px = (max(1, round(side_px / factor)) for side_px in image_hw)
    return height_px, width_px


def pixel_size(image_hw: tuple[int, int], reduced: npt.NDArray[Any]) -> Float64Array:
    """Return the size (2,), in x and in y, of a pixel of `reduced` (h, w) in px of an image of `image_hw`."""
    scale: Float64Array = np.array(image_hw[::-1]) / reduced.shape[::-1]
    return scale


def rescaled(motion: Float64Array, scale: Float64Array) -> Float64Array:
    """Return `motion` (2, 3) in px of an image `scale` (2,) times as large; pixel centres have whole coordinates."""
    # with P = S p + c and p' = A p + t:  P' = S A S^-1 P + S t + c - S A S^-1 c
    centre = (scale - 1) / 2
    linear = scale[:, None] * motion[:, :2] / scale
    return np.column_stack([linear, scale * motion[:, 2] + centre - linear @ centre])


def _background(grey: UInt8Array, boxes: Float64Array) -> UInt8Array:
    """Return a mask of the size of `grey`, 0 in `boxes` (N, 4), in px of it, and 255 elsewhere."""
    background = np.full(grey.shape, 255, np.uint8)
    corners = np.column_stack([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])])
    for x1, y1, x2, y2 in np.clip(corners, 0, max(grey.shape)).astype(int):
        background[y1:y2, x1:x2] = 0
    return background


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """A small image of a frame, normalised so that changes of the exposure do not matter.

    `texture` is f32 (h, w), the image relative to the mean brightness and the contrast around each pixel; `background`
    is f32 (h, w), 0 in boxes of objects and 1 elsewhere; `scale` f64 (2,) is the size of a pixel in px of the image, in
    x and in y.
    """

    texture: Float32Array
    background: Float32Array
    scale: Float64Array

    @classmethod
    def from_image(cls, image: UInt8Array, boxes: Float32Array) -> Thumbnail:
        """Return the thumbnail of `image` uint8 (H, W, 3) RGB; `boxes` (N, 4) in px are those of objects."""
        view = View.from_image(image, boxes, THUMBNAIL_SIDE_PX)
        grey = cv2.GaussianBlur(view.grey.astype(np.float32), (0, 0), BLUR_SIGMA_PX)
        mean = cv2.blur(grey, NEIGHBOURHOOD_PX)
        variance = np.maximum(cv2.blur(grey * grey, NEIGHBOURHOOD_PX) - mean * mean, 0)
        # texture = (I - mean) / sqrt(variance + floor^2), which does not depend on gain and offset of the exposure
        texture = (grey - mean) / np.sqrt(variance + CONTRAST_FLOOR**2)
        return cls(np.asarray(texture, np.float32), (view.background > 0).astype(np.float32), view.scale)

    def warped(self, motion: Float64Array) -> Thumbnail:
        """Return the thumbnail after `motion` (2, 3) in px of the image; areas that come into it are no background."""
        small, size = rescaled(motion, 1 / self.scale), self.texture.shape[::-1]
        texture, background = (cv2.warpAffine(values, small, size) for values in (self.texture, self.background))
        return Thumbnail(np.asarray(texture, np.float32), np.asarray(background, np.float32), self.scale)


def block_shifts(before: Thumbnail, after: Thumbnail) -> Float32Array:
    """Return the distances f32 (K,), in px of the thumbnails, by which blocks of textured background are shifted.

    One step of Lucas and Kanade's method (IJCAI 1981): exact for shifts below a pixel, and far from 0 for larger ones.
    """
    middle, background = (before.texture + after.texture) / 2, before.background * after.background
    gx = cv2.Sobel(middle, cv2.CV_32F, 1, 0, ksize=1, scale=0.5) * background
    gy = cv2.Sobel(middle, cv2.CV_32F, 0, 1, ksize=1, scale=0.5) * background
    change = before.texture - after.texture
    xx, xy, yy = _block_means(gx * gx), _block_means(gx * gy), _block_means(gy * gy)
    xt, yt = _block_means(gx * change), _block_means(gy * change)
    textured = xx + yy > MIN_TEXTURE
    xx, yy = xx + MIN_TEXTURE / 2, yy + MIN_TEXTURE / 2  # solvable also for edges, which fix one direction only
    # [xx xy; xy yy] d = [xt; yt]
    shifts = np.hypot(yy * xt - xy * yt, xx * yt - xy * xt) / (xx * yy - xy * xy)
    return np.asarray(shifts[textured], np.float32)


def share_improved(before: Thumbnail, after: Thumbnail, motion: Float64Array) -> float:
    """Return the share of background blocks where `before`, moved by `motion`, is more like `after` than unmoved.

    `motion` (2, 3) is in px of the image. The share is about a half for a random motion, and 0 without common
    background.
    """
    moved = before.warped(motion)
    common = before.background * moved.background * after.background
    unmoved_error, moved_error = before.texture - after.texture, moved.texture - after.texture
    gains = _block_means((unmoved_error * unmoved_error - moved_error * moved_error) * common)
    return float((gains > 0).sum() / max(1, (gains != 0).sum()))


def _block_means(values: Float32Array) -> Float32Array:
    """Return the means of `values` (h, w) over blocks of about `BLOCK_PX` x `BLOCK_PX`."""
    height_px, width_px = values.shape
    blocks = (max(1, round(width_px / BLOCK_PX)), max(1, round(height_px / BLOCK_PX)))
    return np.asarray(cv2.resize(values, blocks, interpolation=cv2.INTER_AREA), np.float32)
