"""Bodies and poles made of round limbs: capsules with a radius at either end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.light import Light
from streamdet.scene.moment import Moment
from streamdet.scene.sprite import Polygon
from streamdet.types import Float64Array

# The lit side of a limb: a narrower capsule that touches its rim.
_LIT_SHARE, _LIT_SHIFT = 0.76, 0.26
_ARC = np.linspace(-np.pi / 2, np.pi / 2, 6)


@dataclass(slots=True)
class Tubes:
    """Capsules, added one by one; those of a `part` are painted as one piece, parts from far to near."""

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

    def placed(self, moment: Moment, scale: float = 1.0) -> Tubes:
        """Return these capsules, given as (forward, left, up) in m, in the world at `moment`, `scale` times larger."""
        starts, ends = (list(moment.in_world(scale * np.array(places))) for places in (self.starts, self.ends))
        radii = [(scale * start, scale * end) for start, end in self.radii]
        return Tubes(starts, ends, radii, self.colours, self.parts)

    def polygons(self, camera: Camera, light: Light) -> list[Polygon]:
        """Return what `camera` sees, far parts first: every limb with a lighter side towards the sun."""
        starts, ends, radii = np.array(self.starts), np.array(self.ends), np.array(self.radii)
        start_px, start_depth = camera.project(starts)
        end_px, end_depth = camera.project(ends)
        start_radius, end_radius = camera.px_per_m(start_depth) * radii[:, 0], camera.px_per_m(end_depth) * radii[:, 1]
        around = light.around(starts[:1])[0]
        colours = np.array(self.colours)
        outlines = capsules(start_px, end_px, start_radius, end_radius)
        shift = _LIT_SHIFT * _towards_light(camera, light)
        lit = capsules(
            start_px + shift * start_radius[:, None],
            end_px + shift * end_radius[:, None],
            _LIT_SHARE * start_radius,
            _LIT_SHARE * end_radius,
        )
        shaded, bright = colours * (0.88 * around + 0.15 * light.sun), colours * (0.96 * around + 0.5 * light.sun)
        order: list[Polygon] = []
        for rows in self._far_to_near(np.minimum(start_depth, end_depth) + np.maximum(start_depth, end_depth)):
            order += [Polygon(outlines[i], shaded[i]) for i in rows]
            if start_radius[rows].max() > 1.2:
                order += [Polygon(lit[i], bright[i]) for i in rows]
        return order

    def shadow(self, light: Light) -> list[Float64Array]:
        """Return the shadows on the ground, outlines (N, 3) in m."""
        starts, ends, radii = np.array(self.starts), np.array(self.ends), np.array(self.radii)
        slope = light.towards_sun[:2] / max(light.towards_sun[2], 0.1)
        # A point at height z casts its shadow at p - z s / s_z.
        feet = [places[:, :2] - places[:, 2:] * slope for places in (starts, ends)]
        outlines = capsules(feet[0], feet[1], radii[:, 0], radii[:, 1])
        return list(np.dstack([outlines, np.zeros(outlines.shape[:2])]))

    def _far_to_near(self, depths: Float64Array) -> Iterator[list[int]]:
        parts = np.array(self.parts)
        places = {part: depths[parts == part].mean() for part in set(self.parts)}
        for part in sorted(places, key=lambda part: -places[part]):
            yield np.flatnonzero(parts == part).tolist()


def capsules(
    starts: Float64Array, ends: Float64Array, start_radii: Float64Array, end_radii: Float64Array
) -> Float64Array:
    """Return outlines (N, 12, 2) around `starts` and `ends` (N, 2) with radii (N,)."""
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
