"""Bodies of vehicles: level outlines stacked into a closed hull, every facet of one material."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.light import Light
from streamdet.scene.moment import Moment, turned
from streamdet.scene.sprite import Polygon
from streamdet.types import Float64Array

# Facets: seven on the front, the back and each side, and the four corners.
_FRONT = np.array([-1.0, -0.9, -0.55, -0.27, 0.27, 0.55, 0.9, 1.0])
_SIDE = np.array([1.0, 0.9, 0.46, 0.06, 0.0, -0.5, -0.88, -1.0])
_GLOSS, _GLASS_GLOSS = 0.16, 0.4
_UP = np.array([[0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True)
class Level:
    """A rounded rectangle `up` m above the ground, from `back` to `front` and `half` to either side, `corner` m cut."""

    up: float
    front: float
    back: float
    half: float
    corner: float

    def outline(self) -> Float64Array:
        """Return its corners (32, 3), from the right of the front around the left side."""
        wide, front, back = self.half - self.corner, self.front - self.corner, self.back + self.corner
        along = (front + back) / 2 + _SIDE * (front - back) / 2
        ahead = np.column_stack([np.full(8, self.front), _FRONT * wide])
        left = np.column_stack([along, np.full(8, self.half)])
        behind = np.column_stack([np.full(8, self.back), -_FRONT * wide])
        right = np.column_stack([along[::-1], np.full(8, -self.half)])
        flat = np.concatenate([ahead, left, behind, right])
        return np.column_stack([flat, np.full(len(flat), self.up)])


@dataclass(frozen=True, slots=True)
class Ring:
    """Materials, a letter each, between two levels: half a `front` and `back` (rim, lamp, inner, middle), and a `side`.

    A side has seven facets from front to back; the corners take the material of the side's first and last.
    """

    front: str
    side: str
    back: str

    def materials(self) -> str:
        """Return the materials of the 32 facets in the order of the levels' corners."""
        ahead, behind = self.front + self.front[2::-1], self.back + self.back[2::-1]
        return (
            ahead + self.side[0] + self.side + self.side[-1] + behind + self.side[-1] + self.side[::-1] + self.side[0]
        )


class Hull:
    """A stack of `levels` with a ring of materials between each two and a `roof` on the last."""

    def __init__(self, levels: tuple[Level, ...], rings: tuple[Ring, ...], roof: str) -> None:
        outlines = [level.outline() for level in levels]
        count = len(outlines[0])
        after = (np.arange(count) + 1) % count
        facets = [np.stack([low, low[after], high[after], high], axis=1) for low, high in itertools.pairwise(outlines)]
        self.quads = np.concatenate(facets)
        self.top = outlines[-1]
        self.base = outlines[0]
        self.materials = "".join(ring.materials() for ring in rings)
        self.roof = roof
        self._is_glass = np.array([material == "g" for material in self.materials])
        normals = np.cross(self.quads[:, 1] - self.quads[:, 0], self.quads[:, 3] - self.quads[:, 0])
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        self.normals = normals / np.maximum(lengths, 1e-9)

    def polygons(
        self,
        camera: Camera,
        light: Light,
        palette: dict[str, Float64Array],
        glow: dict[str, Float64Array],
        moment: Moment,
    ) -> list[Polygon]:
        """Return the facets that face `camera`, lower ones first, at `moment`.

        `palette` gives the colour of each material, `glow` the light that some give off.
        """
        corners = moment.in_world(np.concatenate([self.quads.reshape(-1, 3), self.top]))
        px, _ = camera.project(corners)
        quads, top = np.split(px, [4 * len(self.quads)])
        quads = quads.reshape(-1, 4, 2)
        normals = self.normals @ turned(moment.heading)
        facing = ((corners[: 4 * len(self.quads) : 4] - np.array(camera.position)) * normals).sum(axis=1) < 0
        around = light.around(moment.origin[None])[0]
        colours = self._colours(light, around, palette, glow, normals)
        polygons = [Polygon(quads[i], colours[i]) for i in np.flatnonzero(facing)]
        if camera.position[2] > self.top[0, 2]:
            polygons.append(Polygon(top, palette[self.roof] * light.shade(_UP, around)[0] + _GLOSS * light.sky))
        return polygons

    def _colours(
        self,
        light: Light,
        around: Float64Array,
        palette: dict[str, Float64Array],
        glow: dict[str, Float64Array],
        normals: Float64Array,
    ) -> Float64Array:
        """Return the colours (N, 3) of the facets with unit `normals` (N, 3)."""
        shade = light.shade(normals, around)
        # Glass mirrors the sky more than lacquer, both the more the flatter they lie.
        gloss = np.where(self._is_glass, _GLASS_GLOSS, _GLOSS)[:, None]
        mirror = gloss * light.sky * (np.maximum(normals[:, 2:], 0) + 0.15)
        colours: Float64Array = np.array([palette[material] for material in self.materials]) * shade + mirror
        for material, own in glow.items():
            colours[[m == material for m in self.materials]] = own
        return colours
