"""A batch of images with their boxes, side by side in one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from streamdet.draw import draw_objects
from streamdet.errors import OutputError
from streamdet.types import Float32Array, Int64Array, UInt8Array

Objects = tuple[Int64Array, Float32Array]  # class ids (N,), boxes (N, 4) xyxy in px

_MOST_IMAGES = 16
_LONGER_SIDE_PX = 1920


def save_batch(images: UInt8Array, objects: Sequence[Objects], class_names: Sequence[str], png: Path) -> None:
    """Draw the first 16 of `images` uint8 (B, H, W, 3) RGB with the class ids and boxes in each to `png`.

    Raises OutputError when it cannot be written.
    """
    tiles = [
        draw_objects(image, boxes, class_ids, class_names)
        for image, (class_ids, boxes) in zip(images[:_MOST_IMAGES], objects[:_MOST_IMAGES], strict=True)
    ]
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    height, width = images.shape[1:3]
    mosaic = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * height, place % columns * width
        mosaic[top : top + height, left : left + width] = tile
    scale = min(1.0, _LONGER_SIDE_PX / max(mosaic.shape))
    small = cv2.resize(mosaic, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
    try:
        png.write_bytes(encoded.tobytes())
    except OSError as error:
        raise OutputError(f"writing a picture to {png} failed: {error.strerror}") from error
