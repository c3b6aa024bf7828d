"""Shadows on the ground."""

from __future__ import annotations

import cv2
import numpy as np

from streamdet.scene.camera import NEAR_M, Camera
from streamdet.types import Float64Array, UInt8Array

_FIXED_POINT_BITS = 3
_FARTHEST_PX = 20_000


def darken(
    image: UInt8Array,
    outlines: list[Float64Array],
    strength: float,
    camera: Camera,
    shown: UInt8Array,
    blur_px: int = 3,
) -> None:
    """Take the share `strength` of the light of `image` inside `outlines` (N, 3) m, where `shown` is ground (0)."""
    height, width = shown.shape
    mask = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)
    px, depth = camera.project(np.concatenate([*outlines, np.zeros((0, 3))]))
    corners = (px / 2 * 2**_FIXED_POINT_BITS).clip(-_FARTHEST_PX, _FARTHEST_PX).astype(np.int32)
    start = 0
    for end in np.cumsum([len(outline) for outline in outlines]).tolist():
        if depth[start:end].min() > NEAR_M:
            cv2.fillConvexPoly(mask, corners[start:end], 255, cv2.LINE_8, _FIXED_POINT_BITS)
        start = end
    x, y, w, h = cv2.boundingRect(mask)
    if not w:
        return
    rows = slice(2 * max(y - blur_px, 0), min(2 * (y + h + blur_px), height))
    columns = slice(2 * max(x - blur_px, 0), min(2 * (x + w + blur_px), width))
    soft = cv2.resize(cv2.blur(mask, (blur_px, blur_px)), (mask.shape[1] * 2, mask.shape[0] * 2))[rows, columns]
    # What stays: 1 - strength on the ground, all elsewhere.
    left = cv2.LUT(soft, (255 - strength * np.arange(256)).round().astype(np.uint8))
    left[shown[rows, columns] != 0] = 255
    image[rows, columns] = cv2.multiply(image[rows, columns], cv2.merge([left] * 3), scale=1 / 255)
