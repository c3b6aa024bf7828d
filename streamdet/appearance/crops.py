"""Cuts boxes out of an image and makes them the input of a network that was trained as ImageNet networks are."""

from __future__ import annotations

import cv2
import numpy as np

from streamdet.types import Float32Array, Int64Array, UInt8Array

# Red, green and blue of ImageNet's images in [0, 1], which person re-identification networks normalise by as well.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def pixel_bounds(boxes: Float32Array, image_hw: tuple[int, int]) -> Int64Array:
    """Return the pixels of the image whose centres lie in each box, i64 (K, 4): left, top, right, bottom.

    `boxes` is (K, 4) x1, y1, x2, y2 in px. Right and bottom are excluded; all are 0 where a box holds no such pixel.
    """
    height, width = image_hw
    # Pixel i covers [i, i + 1) and has its centre at i + 1/2.
    bounds = np.ceil(np.clip(boxes, 0, np.array([width, height] * 2, np.float32)) - 0.5)
    left, top, right, bottom = bounds.T
    seen = (left < right) & (top < bottom)
    return np.where(seen[:, None], bounds, 0).astype(np.int64)


def cut(image: UInt8Array, bounds: Int64Array, size_hw: tuple[int, int]) -> UInt8Array:
    """Return what lies within `bounds` (K, 4) of an image uint8 (H, W, 3), each resized to `size_hw`: (K, h, w, 3)."""
    height, width = size_hw
    crops = np.empty((len(bounds), height, width, 3), np.uint8)
    for crop, (left, top, right, bottom) in zip(crops, bounds.tolist(), strict=True):
        cv2.resize(image[top:bottom, left:right], (width, height), dst=crop, interpolation=cv2.INTER_LINEAR)
    return crops


def normalised(crops: UInt8Array) -> Float32Array:
    """Return crops uint8 (K, h, w, 3) RGB as f32 (K, 3, h, w) of about zero mean and unit variance."""
    # (x / 255 - mean) / deviation
    scale, offset = 1 / (255 * DEVIATION), -MEAN / DEVIATION
    pixels = np.multiply(crops.transpose(0, 3, 1, 2), scale[:, None, None], dtype=np.float32, order="C")
    pixels += offset[:, None, None]
    return pixels
