"""The appearance of detected objects as unit vectors: objects that look alike have a high cosine similarity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from streamdet.errors import InputError, StreamdetError
from streamdet.inference.load import load_embedder
from streamdet.inference.session import Session
from streamdet.pixels import rgb_image
from streamdet.types import Float32Array, Int64Array, UInt8Array

BATCH = 16  # crops at a time, so that the memory taken does not grow with the number of boxes
# Of red, green and blue in [0, 1] in ImageNet's images; person re-identification networks use them as well.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


class AppearanceModel:
    """A re-identification network with its preprocessing, such as OSNet (arXiv 1905.00953).

    `path` is an ``.onnx`` file or a ``.pt2`` archive of ``torch.export.save`` that maps crops f32 (b, 3, H, W), RGB
    normalised by ImageNet's mean and deviation, to features f32 (b, D), for any b; H, W and D are read from it. It
    runs on CUDA where its runtime supports that. Raises InputError when the file cannot be used.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._session = load_embedder(self._path)
        size_hw = self._session.card.input_hw
        assert size_hw is not None, "an embedder's card states the size of its crops"
        self._size_hw = size_hw
        self.dimension = _dimension(self._path, self._session, size_hw)

    def embed(self, image: Any, boxes: Float32Array) -> Float32Array:
        """Return the features f32 (K, D), of unit length, of `boxes` (K, 4) x1, y1, x2, y2 px in `image`.

        `image` is uint8 (H, W, 3) RGB or what `rgb_image` converts. Boxes are clipped to it; a box without a pixel has
        the zero vector. A row does not depend on the other rows. Raises InputError for another image, and
        StreamdetError when the features are not finite.
        """
        image = rgb_image(image)
        bounds = pixel_bounds(boxes, image.shape[:2])
        seen = np.flatnonzero(bounds.any(axis=1))
        features = np.zeros((len(boxes), self.dimension), np.float32)
        for start in range(0, len(seen), BATCH):
            rows = seen[start : start + BATCH]
            features[rows] = self._session(normalised(cut(image, bounds[rows], self._size_hw)))
        if not np.isfinite(features).all():
            raise StreamdetError(f"{self._path}: expected finite features, found infinity or NaN")
        return _unit(features)


def _dimension(path: Path, session: Session, size_hw: tuple[int, int]) -> int:
    """Return the length D of the features, found with a batch of two blank crops; raises InputError."""
    try:
        features = session(np.zeros((2, 3, *size_hw), np.float32))
    except Exception as error:  # the errors of runtimes have no common class
        found = " ".join(str(error).split())
        raise InputError(f"{path}: expected a network for crops f32 (b, 3, H, W), found {found}") from None
    if features.ndim != 2 or len(features) != 2 or features.dtype != np.float32:
        raise InputError(f"{path}: expected features f32 (2, D) for 2 crops, found {features.dtype} {features.shape}")
    return int(features.shape[1])


def _unit(features: Float32Array) -> Float32Array:
    """Return `features` (K, D) of length 1; a zero vector stays zero."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit: Float32Array = np.divide(features, length, out=np.zeros_like(features), where=length > 0)
    return unit


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
    """Return the parts of an image uint8 (H, W, 3) within `bounds` (K, 4), resized to `size_hw`: uint8 (K, h, w, 3)."""
    height, width = size_hw
    crops = np.empty((len(bounds), height, width, 3), np.uint8)
    for crop, (left, top, right, bottom) in zip(crops, bounds.tolist(), strict=True):
        cv2.resize(image[top:bottom, left:right], (width, height), dst=crop, interpolation=cv2.INTER_LINEAR)
    return crops


def normalised(crops: UInt8Array) -> Float32Array:
    """Return crops uint8 (K, h, w, 3) RGB as f32 (K, 3, h, w), normalised by ImageNet's mean and deviation."""
    # (x / 255 - mean) / deviation
    scale, offset = 1 / (255 * DEVIATION), -MEAN / DEVIATION
    pixels = np.multiply(crops.transpose(0, 3, 1, 2), scale[:, None, None], dtype=np.float32, order="C")
    pixels += offset[:, None, None]
    return pixels
