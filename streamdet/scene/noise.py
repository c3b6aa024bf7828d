"""Textures without a seam, sampled by place."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.types import Float32Array

_SIDE = 256


class Noise:
    """Two tiles of 256 x 256 of mean 0 and deviation 1: `fine` is white, `rough` has the spectrum of clouds, 1 / f."""

    def __init__(self, rng: np.random.Generator) -> None:
        white = rng.standard_normal((_SIDE, _SIDE))
        frequency = np.hypot(np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None])
        frequency[0, 0] = np.inf
        cloud = np.fft.irfft2(np.fft.rfft2(white) / frequency**1.3, (_SIDE, _SIDE))
        self.fine = white.astype(np.float32)
        self.rough = (cloud / cloud.std()).astype(np.float32)


def sample(tile: Float32Array, u: npt.NDArray[np.floating], v: npt.NDArray[np.floating]) -> Float32Array:
    """Return the values of `tile` at (H, W) places in its px, repeated without end."""
    side = len(tile)
    wrapped = np.pad(tile, ((0, 1), (0, 1)), mode="wrap")
    # What remains beyond whole tiles; the same as the operator %, but faster.
    columns, rows = ((place - side * np.floor(place / side)).astype(np.float32) for place in (u, v))
    return np.asarray(cv2.remap(wrapped, columns, rows, cv2.INTER_LINEAR), np.float32)


def between(value: Float32Array, low: float, high: float, footprint: Float32Array) -> Float32Array:
    """Return how much of a pixel of width `footprint` around `value` lies between `low` and `high`, 0 to 1."""
    # A box filter: the covered length of [value - f/2, value + f/2], divided by f.
    upper = np.minimum(value + footprint / 2, high)
    lower = np.maximum(value - footprint / 2, low)
    covered: Float32Array = np.clip((upper - lower) / footprint, 0, 1)
    return covered


def lines(value: Float32Array, spacing: float, width: float, footprint: Float32Array) -> Float32Array:
    """Return how much of a pixel is covered by lines of `width` that repeat every `spacing`, 0 to 1."""

    def covered_up_to(place: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        whole = np.floor(place / spacing)
        total: npt.NDArray[np.floating] = whole * width + np.minimum(place - whole * spacing, width)
        return total

    covered = covered_up_to(value + footprint / 2) - covered_up_to(value - footprint / 2)
    return np.asarray(covered / footprint, np.float32)
