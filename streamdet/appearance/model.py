"""The appearance model: boxes of an image in, a unit vector each out; what looks alike has a high cosine similarity."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamdet.appearance.crops import cut, normalised, pixel_bounds
from streamdet.errors import InputError, StreamdetError
from streamdet.inference.load import load_embedder
from streamdet.inference.session import Session
from streamdet.types import Float32Array, UInt8Array

BATCH = 16  # crops at a time: the memory taken does not grow with the number of boxes


class AppearanceModel:
    """A re-identification network with its preprocessing, such as OSNet (arXiv 1905.00953).

    `path` is an ``.onnx`` file or a ``.pt2`` archive of ``torch.export.save`` that maps crops f32 (b, 3, H, W), RGB
    normalised by ImageNet's mean and deviation, to features f32 (b, D), for any b; H, W and D are read from it. It
    runs on CUDA where its runtime has that. Raises InputError when the file cannot be used.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._session = load_embedder(self._path)
        size_hw = self._session.card.input_hw
        assert size_hw is not None, "an embedder's card states the size of its crops"
        self._size_hw = size_hw
        self.dimension = _dimension(self._path, self._session, size_hw)

    def embed(self, image: UInt8Array, boxes: Float32Array) -> Float32Array:
        """Return the features f32 (K, D), of unit length, of `boxes` (K, 4) x1, y1, x2, y2 px in `image`.

        `image` is uint8 (H, W, 3) RGB. Boxes are cut at its border; one that holds no pixel has the zero vector. A row
        does not depend on the other rows. Raises StreamdetError when the network gives numbers that are not finite.
        """
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
    """Return the length D of the features that the network gives for a batch of two blank crops."""
    try:
        features = session(np.zeros((2, 3, *size_hw), np.float32))
    except Exception as error:  # a runtime's exceptions have no class in common
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
