"""Paints one figure by itself, smooth at its edges, before it is laid over the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.types import Float64Array, UInt8Array

# A pixel belongs to the silhouette when a third of it is covered.
SILHOUETTE = 85
_FIXED_POINT_BITS = 4
_FARTHEST_PX = 20_000
_Place = npt.NDArray[np.int64]


class Polygon(NamedTuple):
    """A convex piece of a figure: `points` (N, 2) px of the image, `colour` RGB, 1 being white."""

    points: Float64Array
    colour: Float64Array


@dataclass(frozen=True, slots=True)
class Sprite:
    """A painted figure whose top left corner lies at (`left`, `top`) px of the image.

    `colour` uint8 (h, w, 3) is already multiplied by the coverage `cover` uint8 (h, w). `silhouette_px` counts the
    pixels of the whole silhouette, also outside the image; the arrays hold only what is inside.
    """

    left: int
    top: int
    colour: UInt8Array
    cover: UInt8Array
    silhouette_px: int

    @property
    def rows(self) -> slice:
        """The rows of the image that the sprite takes."""
        return slice(self.top, self.top + self.cover.shape[0])

    @property
    def columns(self) -> slice:
        """The columns of the image that the sprite takes."""
        return slice(self.left, self.left + self.cover.shape[1])


def rasterise(polygons: Sequence[Polygon], image_size: tuple[int, int]) -> Sprite | None:
    """Paint `polygons` in order; None when nothing of them lies in the image.

    What lies farther outside than the image is wide or high is not counted.
    """
    if not polygons:
        return None
    points = np.concatenate([polygon.points for polygon in polygons])
    size = np.array(image_size)
    low = np.maximum(np.floor(points.min(axis=0)) - 1, -size).astype(int)
    high = np.minimum(np.ceil(points.max(axis=0)) + 1, 2 * size).astype(int)
    if (low >= size).any() or (high <= 0).any() or (high <= low).any():
        return None
    pixels = _painted(polygons, points, low, high)
    silhouette_px = int(np.count_nonzero(pixels[..., 3] >= SILHOUETTE))
    first, last = np.maximum(-low, 0), np.minimum(high, size) - low
    inside = pixels[first[1] : last[1], first[0] : last[0]]
    left, top = low + first
    return Sprite(int(left), int(top), inside[..., :3], inside[..., 3], silhouette_px)


def _painted(polygons: Sequence[Polygon], points: Float64Array, low: _Place, high: _Place) -> UInt8Array:
    """Return uint8 (h, w, 4), RGB times coverage and coverage, painted larger and reduced."""
    width, height = (int(n) for n in high - low)
    times = 4 if height < 56 else 3 if height < 140 else 2
    pixels = np.zeros((height * times, width * times, 4), np.uint8)
    # OpenCV counts from the centre of the first pixel.
    places = ((points - low) * times - 0.5).clip(-_FARTHEST_PX, _FARTHEST_PX) * 2**_FIXED_POINT_BITS
    corners = places.round().astype(np.int32)
    colours = (np.array([polygon.colour for polygon in polygons]) * 255).clip(0, 255).tolist()
    start = 0
    for polygon, colour in zip(polygons, colours, strict=True):
        end = start + len(polygon.points)
        cv2.fillConvexPoly(pixels, corners[start:end], (*colour, 255), cv2.LINE_8, _FIXED_POINT_BITS)
        start = end
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
