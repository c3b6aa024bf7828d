"""The shine around lamps."""

from __future__ import annotations

import cv2
import numpy as np

from streamdet.types import Float64Array, UInt8Array

_SIDE = 64
_OFFSETS = (np.arange(_SIDE) + 0.5) / _SIDE * 2 - 1
_DISTANCE = np.hypot(_OFFSETS[:, None], _OFFSETS[None])
# A bright core in a wide halo that ends at the rim.
_SHINE = (0.75 * np.exp(-((_DISTANCE / 0.16) ** 2)) + 0.25 * (1 - _DISTANCE).clip(0) ** 2).astype(np.float32)


def shine(image: UInt8Array, centre: Float64Array, radius: float, colour: Float64Array) -> None:
    """Add a lamp's shine of `radius` px around `centre` (x, y) px to `image`; `colour` RGB, 1 being white."""
    side = int(np.clip(2 * radius, 4, 2 * min(image.shape[:2])))
    left, top = (round(float(value) - side / 2) for value in centre)
    height, width = image.shape[:2]
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if x1 >= x2 or y1 >= y2:
        return
    spot = cv2.resize(_SHINE, (side, side), interpolation=cv2.INTER_AREA)[y1 - top : y2 - top, x1 - left : x2 - left]
    light = (spot[..., None] * (255 * colour)).clip(0, 255).astype(np.uint8)
    image[y1:y2, x1:x2] = cv2.add(image[y1:y2, x1:x2], light)
