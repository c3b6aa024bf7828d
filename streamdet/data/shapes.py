"""What labels state of objects beyond a box: polygons, rotated corners, and key points, which move with the image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.types import Float32Array, Float64Array, Int64Array

Patch = tuple[float, float, float, float]  # x1, y1, x2, y2 of a rectangle


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shapes of N objects: `points` f32 (P, D) of all of them, in the order of the objects, `counts` i64 (N,) > 0.

    The first two columns of `points` are x and y, in px or in fractions of the image. This class is for polygons, the
    outlines of tasks with masks, in which a line that is passed twice separates nothing.
    """

    points: Float32Array
    counts: Int64Array

    def __len__(self) -> int:
        return len(self.counts)

    def __iter__(self) -> Iterator[Float32Array]:
        """Yield the points f32 (P_i, D) of each object."""
        return iter(np.split(self.points, np.cumsum(self.counts)[:-1]) if len(self.counts) else ())

    def only(self, chosen: npt.NDArray[np.bool_]) -> Self:
        """Return the shapes of the `chosen` objects, bool (N,)."""
        return replace(self, points=self.points[np.repeat(chosen, self.counts)], counts=self.counts[chosen])

    def moved(self, matrix: npt.NDArray[np.floating]) -> Self:
        """Return the shapes after the affine `matrix` (2, 3), or the projective one (3, 3)."""
        points, xy = self.points.copy(), self.points[:, :2]
        points[:, :2] = xy @ matrix[:2, :2].T + matrix[:2, 2]
        if len(matrix) == 3:
            points[:, :2] /= (xy @ matrix[2, :2] + matrix[2, 2])[:, None]
        return replace(self, points=points)

    def mirrored(self, matrix: npt.NDArray[np.floating]) -> Self:
        """Return the shapes after the affine `matrix` (2, 3) of a reflection."""
        return self.moved(matrix)

    def boxes(self, stated: Float32Array) -> Float32Array:
        """Return the boxes f32 (N, 4) xyxy around the shapes, or the `stated` ones if shapes do not decide them."""
        if not len(self.counts):
            return np.zeros((0, 4), np.float32)
        starts, xy = np.cumsum(self.counts) - self.counts, self.points[:, :2]
        return np.concatenate([np.minimum.reduceat(xy, starts), np.maximum.reduceat(xy, starts)], 1)

    def within(self, patch: Patch) -> Self:
        """Return the shapes as the rectangle `patch` shows them, which hides the rest of the image."""
        x, y = self.points[:, 0], self.points[:, 1]
        if not len(x) or (min(x.min() - patch[0], y.min() - patch[1], patch[2] - x.max(), patch[3] - y.max()) >= 0):
            return self
        return self._of([_clipped(ring, patch) for ring in self])

    def without(self, patch: Patch) -> Self:
        """Return the shapes after something covers the rectangle `patch`."""
        return self._of([_cut(ring, patch) for ring in self])

    def beneath(self, covered: npt.NDArray[np.bool_]) -> tuple[Self, Float32Array]:
        """Return the shapes after something covers the cells `covered` (H, W), and the share of each that still shows.

        Points are in cells; the shares are f32 (N,). A shape that does not show at all is a point.
        """
        rings, shares = [], []
        for ring in self:
            cells = rasterised(ring, (covered.shape[0], covered.shape[1]))
            visible = cells & ~covered
            shares.append(visible.sum() / cells.sum() if cells.any() else 1.0)
            rings.append(ring if shares[-1] == 1 else outline(visible) if visible.any() else ring[:1])
        return self._of(rings), np.array(shares, np.float32)

    def _of(self, rings: Sequence[Float32Array]) -> Self:
        points = np.concatenate(rings) if rings else self.points
        return replace(self, points=points.astype(np.float32), counts=np.array([len(each) for each in rings], np.int64))


@dataclass(frozen=True, slots=True)
class Corners(Shapes):
    """The four corners of N rotated rectangles, in order around each; they stay whole where the image ends."""

    def within(self, patch: Patch) -> Self:
        """Return the same corners: what is hidden of a rotated box is still a part of it."""
        return self

    def without(self, patch: Patch) -> Self:
        """Return the same corners."""
        return self

    def rotated(self) -> Float32Array:
        """Return the least rectangles around the corners, rotated boxes f32 (N, 5) as in `streamdet.types`."""
        found = [cv2.minAreaRect(corners) for corners in self]
        rows = [(*center, *size, math.radians(degrees)) for center, size, degrees in found]
        return np.array(rows, np.float32).reshape(-1, 5)

    def fill(self) -> Float32Array:
        """Return which share of `rotated` each four corners enclose, f32 (N,): 1 for those of a rectangle."""
        areas = np.array([cv2.contourArea(corners) for corners in self], np.float32)
        share: Float32Array = areas / self.rotated()[:, 2:4].prod(1).clip(1e-9)
        return share


@dataclass(frozen=True, slots=True)
class KeyPoints(Shapes):
    """The K key points of N objects, K each: x, y, and 0 (not labelled), 1 (hidden) or 2 (visible).

    `flip_idx` is the key point that each becomes in a mirrored image, where left and right change their places.
    """

    flip_idx: tuple[int, ...] = ()

    def mirrored(self, matrix: npt.NDArray[np.floating]) -> Self:
        """Return the key points after the affine `matrix` (2, 3) of a reflection, renumbered by `flip_idx`."""
        moved = self.moved(matrix)
        return replace(moved, points=moved.by_object()[:, list(self.flip_idx)].reshape(-1, 3))

    def by_object(self) -> Float32Array:
        """Return the key points f32 (N, K, 3); K is 0 without objects."""
        count = len(self.points) // max(len(self.counts), 1)
        return self.points.reshape(len(self.counts), count, 3)

    def boxes(self, stated: Float32Array) -> Float32Array:
        """Return the `stated` boxes: key points lie inside of an object."""
        return stated

    def within(self, patch: Patch) -> Self:
        """Return the key points without a label for those outside of the rectangle `patch`."""
        return self._marked(~self._inside(patch), 0)

    def without(self, patch: Patch) -> Self:
        """Return the key points, hidden where something covers the rectangle `patch`."""
        return self._marked(self._inside(patch) & (self.points[:, 2] > 0), 1)

    def _inside(self, patch: Patch) -> npt.NDArray[np.bool_]:
        inside: npt.NDArray[np.bool_] = np.all((self.points[:, :2] >= patch[:2]) & (self.points[:, :2] <= patch[2:]), 1)
        return inside

    def _marked(self, which: npt.NDArray[np.bool_], label: int) -> Self:
        points = self.points.copy()
        points[which, 2] = label
        return replace(self, points=points)


def joined(shapes: Sequence[Shapes]) -> Shapes:
    """Return the shapes of all objects of `shapes`, one or more of one kind."""
    points, counts = np.concatenate([each.points for each in shapes]), np.concatenate([each.counts for each in shapes])
    return replace(shapes[0], points=points, counts=counts)


def rasterised(ring: Float32Array, hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return which cells (H, W) have their centres inside the polygon `ring` f32 (P, 2), in cells, even-odd."""
    height, width = hw
    begins = ring[:, :2].astype(np.float64)
    ends = np.roll(begins, -1, 0)
    # Lines go downward, so that one that is passed in both directions is rounded in the same way.
    rises = begins[:, 1:] > ends[:, 1:]
    (x1, y1), (x2, y2) = np.where(rises, ends, begins).T, np.where(rises, begins, ends).T
    # Nothing is inside beyond the outermost points.
    left, top = (int(side) for side in np.floor(begins.min(0)).clip(0, [width, height]))
    right, bottom = (int(side) for side in np.ceil(begins.max(0)).clip(0, [width, height]))
    centers = np.arange(top, bottom) + 0.5
    edges, rows = np.nonzero((y1[:, None] <= centers) != (y2[:, None] <= centers))
    # The line of an edge meets that of a row at  x = x1 + (y - y1) (x2 - x1) / (y2 - y1)
    at = x1[edges] + (centers[rows] - y1[edges]) * ((x2 - x1)[edges] / (y2 - y1)[edges])
    # A cell is inside if an odd number of edges lies to the left of its centre.
    crossings = np.zeros((bottom - top, right - left + 1), np.int64)
    np.add.at(crossings, (rows, np.ceil(at - 0.5).clip(left, right).astype(np.int64) - left), 1)
    inside = np.zeros(hw, bool)
    inside[top:bottom, left:right] = np.cumsum(crossings[:, :-1], 1) % 2 == 1
    return inside


def outline(inside: npt.NDArray[np.bool_]) -> Float32Array:
    """Return the polygon f32 (P, 2) around the cells `inside` (H, W): what `rasterised` made them of.

    Parts and holes are joined to the first part by lines that are passed twice. P is 0 without any cell.
    """
    # Cells of four pixels: a contour, which connects the middles of pixels, then tells both sides of a cell.
    doubled = inside.astype(np.uint8).repeat(2, 0).repeat(2, 1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return np.zeros((0, 2), np.float32)
    # The first of a cell's two pixels is at its left, the second at its right:  x = ceil(u / 2)
    first, *others = [((contour[:, 0] + 1) // 2).astype(np.float32) for contour in contours]
    begin = first[:1]
    return np.concatenate([first, *(part for ring in others for part in (begin, ring, ring[:1], begin))])


def _clipped(ring: Float32Array, patch: Patch) -> Float32Array:
    """Return the part of a polygon (P, 2) inside `patch`, a point of its edge if there is none (Sutherland-Hodgman)."""
    clipped: Float64Array = ring.astype(np.float64)
    for axis, sign, bound in ((0, 1, patch[0]), (1, 1, patch[1]), (0, -1, patch[2]), (1, -1, patch[3])):
        inside = sign * (clipped[:, axis] - bound)
        ends, ahead = np.roll(clipped, -1, 0), np.roll(inside, -1)
        crosses = (inside < 0) != (ahead < 0)
        share = inside / np.where(crosses, inside - ahead, 1)
        # Of each edge: its beginning, if that is inside, then the point where it crosses the side.
        pairs = np.stack([clipped, clipped + share[:, None] * (ends - clipped)], 1)
        clipped = pairs[np.stack([inside >= 0, crosses], 1)]
        if not len(clipped):
            return ring[:1].clip(patch[:2], patch[2:])
    return clipped.astype(np.float32)


def _cut(ring: Float32Array, patch: Patch) -> Float32Array:
    """Return a polygon (P, 2) without its part inside `patch`, joined to it by a line that is passed twice."""
    inside = _clipped(ring, patch)
    # Even-odd, what two outlines enclose is outside.
    return ring if len(inside) < 3 else np.concatenate([ring, ring[:1], inside, inside[:1]])
