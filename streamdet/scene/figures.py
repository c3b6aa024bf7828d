"""The building blocks of people, vehicles and furniture: figures, their polygons, and the sprites painted of these.

A `Figure` at a `Placement` gives the polygons that a camera sees; `rasterise` paints them as a `Sprite`, smooth at its
edges, which is then laid over the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.light import Light
from streamdet.types import Float64Array, Int64Array, UInt8Array

# A pixel belongs to the silhouette when a third of it is covered.
SILHOUETTE = 85
# OpenCV fills polygons in 16-bit fixed point, and 20 000 px x 2^16 < 2^31.
_FARTHEST_PX = 20_000
_FIXED_POINT_BITS = 4
# The lit side of a limb: a narrower capsule that touches its rim.
_LIT_SHARE, _LIT_SHIFT = 0.76, 0.26
# A lit side is left out of parts that are narrower than this.
_LEAST_LIT_PX = 1.2
_ARC = np.linspace(-np.pi / 2, np.pi / 2, 6)


class Placement(NamedTuple):
    """Where something is at one time: `origin` (3,) m on the ground, `heading` in rad, metres covered, time in s."""

    origin: Float64Array
    heading: float
    covered_m: float
    time_s: float

    def in_world(self, places: Float64Array) -> Float64Array:
        """Return the world coordinates of `places` (N, 3) m, given as (forward, left, up) from the origin."""
        world: Float64Array = places @ turned(self.heading) + self.origin
        return world


def turned(heading: float) -> Float64Array:
    """Return the matrix (3, 3) that turns rows (forward, left, up) into world directions at `heading` rad."""
    cos, sin = np.cos(heading), np.sin(heading)
    return np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])


class Polygon(NamedTuple):
    """A convex piece of a figure: `points` (N, 2) px of the image, `colour` RGB, 1 being white."""

    points: Float64Array
    colour: Float64Array


class Figure(Protocol):
    """The look of an actor, at any placement."""

    @property
    def class_id(self) -> int:
        """An index into CLASS_NAMES of the ground truth."""

    @property
    def half_size(self) -> tuple[float, float]:
        """Half of the length and half of the width on the ground, in m."""

    def polygons(self, camera: Camera, light: Light, placement: Placement) -> list[Polygon]:
        """Return the polygons that `camera` sees at `placement`."""

    def shadow(self, light: Light, placement: Placement) -> list[Float64Array]:
        """Return the shadows on the ground, outlines (N, 3) in m."""

    def contact(self, placement: Placement) -> list[Float64Array]:
        """Return the ground right below, which is dark in any light, as outlines (N, 3) in m."""


@dataclass(slots=True)
class Tubes:
    """A body or a pole made of round limbs: capsules with a radius at either end.

    The capsules of one `part` are painted together, in the order in which they were added; parts from far to near.
    """

    starts: list[Float64Array] = field(default_factory=list)
    ends: list[Float64Array] = field(default_factory=list)
    radii: list[tuple[float, float]] = field(default_factory=list)
    colours: list[Float64Array] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)

    def add(
        self,
        part: int,
        colour: Float64Array,
        start: Float64Array,
        end: Float64Array,
        radius: float,
        end_radius: float = -1,
    ) -> None:
        """Add a capsule from `start` to `end` (3,) m; without `end_radius` it is as wide at its end as at its start."""
        self.parts.append(part)
        self.colours.append(colour)
        self.starts.append(start)
        self.ends.append(end)
        self.radii.append((radius, radius if end_radius < 0 else end_radius))

    def placed(self, placement: Placement, scale: float = 1.0) -> Tubes:
        """Return these capsules, given as (forward, left, up) in m, `scale` times larger and in world coordinates."""
        starts, ends = (list(placement.in_world(scale * np.array(places))) for places in (self.starts, self.ends))
        radii = [(scale * start, scale * end) for start, end in self.radii]
        return Tubes(starts, ends, radii, self.colours, self.parts)

    def polygons(self, camera: Camera, light: Light) -> list[Polygon]:
        """Return the polygons that `camera` sees, far parts first; every limb has a lighter side towards the sun."""
        starts, ends, radii = np.array(self.starts), np.array(self.ends), np.array(self.radii)
        start_px, start_depth = camera.project(starts)
        end_px, end_depth = camera.project(ends)
        start_radius, end_radius = camera.px_per_m(start_depth) * radii[:, 0], camera.px_per_m(end_depth) * radii[:, 1]
        around = light.around(starts[:1])[0]
        colours = np.array(self.colours)
        outlines = _capsules(start_px, end_px, start_radius, end_radius)
        shift = _LIT_SHIFT * _towards_light(camera, light)
        lit = _capsules(
            start_px + shift * start_radius[:, None],
            end_px + shift * end_radius[:, None],
            _LIT_SHARE * start_radius,
            _LIT_SHARE * end_radius,
        )
        shaded, bright = colours * (0.88 * around + 0.15 * light.sun), colours * (0.96 * around + 0.5 * light.sun)
        order: list[Polygon] = []
        for rows in self._far_to_near(np.minimum(start_depth, end_depth) + np.maximum(start_depth, end_depth)):
            order += [Polygon(outlines[i], shaded[i]) for i in rows]
            if start_radius[rows].max() > _LEAST_LIT_PX:
                order += [Polygon(lit[i], bright[i]) for i in rows]
        return order

    def shadow(self, light: Light) -> list[Float64Array]:
        """Return the shadows on the ground, outlines (N, 3) in m."""
        starts, ends, radii = np.array(self.starts), np.array(self.ends), np.array(self.radii)
        feet = [places[:, :2] - places[:, 2:] * light.slope for places in (starts, ends)]
        outlines = _capsules(feet[0], feet[1], radii[:, 0], radii[:, 1])
        return list(np.dstack([outlines, np.zeros(outlines.shape[:2])]))

    def _far_to_near(self, depths: Float64Array) -> Iterator[list[int]]:
        """Yield the capsules of each part, those of the greatest mean depth first."""
        parts = np.array(self.parts)
        means = {part: depths[parts == part].mean() for part in set(self.parts)}
        for part in sorted(means, key=lambda part: -means[part]):
            yield np.flatnonzero(parts == part).tolist()


def _capsules(
    starts: Float64Array, ends: Float64Array, start_radii: Float64Array, end_radii: Float64Array
) -> Float64Array:
    """Return outlines (N, 12, 2) of capsules from `starts` to `ends` (N, 2) with radii (N,)."""
    along = ends - starts
    angle = np.arctan2(along[:, 1], along[:, 0])[:, None]
    far, near = angle + _ARC, angle + np.pi + _ARC
    at_end = ends[:, None] + end_radii[:, None, None] * np.stack([np.cos(far), np.sin(far)], axis=-1)
    at_start = starts[:, None] + start_radii[:, None, None] * np.stack([np.cos(near), np.sin(near)], axis=-1)
    return np.concatenate([at_end, at_start], axis=1)


def _towards_light(camera: Camera, light: Light) -> Float64Array:
    """Return the direction (2,) in the picture from which most light comes; a covered sky shines from above."""
    right, down, _ = camera.axes @ light.towards_sun
    direction = light.shadow * np.array([right, down]) + (1 - light.shadow) * np.array([0.0, -1.0])
    unit: Float64Array = direction / max(float(np.hypot(*direction)), 1e-6)
    return unit


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
    """Paint `polygons` in order on a sprite of their own; return None when nothing of them lies in the image.

    `silhouette_px` leaves out what lies farther outside than the image is wide or high.
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


def _painted(polygons: Sequence[Polygon], points: Float64Array, low: Int64Array, high: Int64Array) -> UInt8Array:
    """Return uint8 (h, w, 4), RGB times coverage and coverage; painted 2 to 4 times larger, then reduced."""
    width, height = (int(n) for n in high - low)
    times = 4 if height < 56 else 3 if height < 140 else 2
    pixels = np.zeros((height * times, width * times, 4), np.uint8)
    # OpenCV counts from the centre of the first pixel.
    on_pixels = ((points - low) * times - 0.5).clip(-_FARTHEST_PX, _FARTHEST_PX) * 2**_FIXED_POINT_BITS
    corners = on_pixels.round().astype(np.int32)
    colours = (np.array([polygon.colour for polygon in polygons]) * 255).clip(0, 255).tolist()
    start = 0
    for polygon, colour in zip(polygons, colours, strict=True):
        end = start + len(polygon.points)
        cv2.fillConvexPoly(pixels, corners[start:end], (*colour, 255), cv2.LINE_8, _FIXED_POINT_BITS)
        start = end
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def pick(
    rng: np.random.Generator, colours: tuple[tuple[float, float, float], ...], spread: float = 0.05
) -> Float64Array:
    """Return one of `colours` (RGB, 0 to 1), varied by `spread` in brightness and a third of that in hue."""
    colour = np.array(colours[rng.integers(len(colours))])
    factors = 1 + spread * rng.standard_normal() + spread / 3 * rng.standard_normal(3)
    varied: Float64Array = (colour * factors + 0.01 * rng.standard_normal()).clip(0.01, 1)
    return varied
