"""The bodies of cars, buses and trucks: level outlines stacked into closed hulls, and the tables that shape them.

Lengths are in m; x = 0 is the middle of a vehicle, the front is positive. Materials: p paint, q second paint, g glass,
t dark trim, k black, h headlight, r rear light, n number plate, s sign, c cargo body, w white.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.figures import Placement, Polygon, turned
from streamdet.scene.light import Light
from streamdet.scene.truth import BUS, CAR, TRUCK
from streamdet.types import Float64Array

# Corners of a level along its front and its side, as shares: seven facets on each of four sides, and four corner cuts.
_FRONT = np.array([-1.0, -0.9, -0.55, -0.27, 0.27, 0.55, 0.9, 1.0])
_SIDE = np.array([1.0, 0.9, 0.46, 0.06, 0.0, -0.5, -0.88, -1.0])
_GLOSS, _GLASS_GLOSS = 0.16, 0.4
_UP = np.array([[0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True)
class Level:
    """A level outline at height `up`: from `back` to `front`, `half` to either side, the corners cut by `corner` m."""

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
    """The materials between two levels, a letter a facet.

    `front` and `back` are given by half: rim, lamp, inner, middle. A `side` has seven facets from front to back; the
    cut corners take the materials of its first and last facet.
    """

    front: str
    side: str
    back: str

    def materials(self) -> str:
        """Return the materials of the 32 facets, in the order of the corners of a level."""
        ahead, behind = self.front + self.front[2::-1], self.back + self.back[2::-1]
        return (
            ahead + self.side[0] + self.side + self.side[-1] + behind + self.side[-1] + self.side[::-1] + self.side[0]
        )


class Hull:
    """A stack of `levels`, a ring of materials between each two of them, and a `roof` on the last."""

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
        placement: Placement,
    ) -> list[Polygon]:
        """Return the facets that face `camera`, lower ones first, at `placement`.

        `palette` gives the colour of each material, `glow` the light that some give off.
        """
        corners = placement.in_world(np.concatenate([self.quads.reshape(-1, 3), self.top]))
        px, _ = camera.project(corners)
        quads, top = np.split(px, [4 * len(self.quads)])
        quads = quads.reshape(-1, 4, 2)
        normals = self.normals @ turned(placement.heading)
        facing = ((corners[: 4 * len(self.quads) : 4] - np.array(camera.position)) * normals).sum(axis=1) < 0
        around = light.around(placement.origin[None])[0]
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
        # Glass mirrors the sky more than paint does; level facets mirror more than upright ones.
        gloss = np.where(self._is_glass, _GLASS_GLOSS, _GLOSS)[:, None]
        mirror = gloss * light.sky * (np.maximum(normals[:, 2:], 0) + 0.15)
        colours: Float64Array = np.array([palette[material] for material in self.materials]) * shade + mirror
        for material, own in glow.items():
            colours[[m == material for m in self.materials]] = own
        return colours


_TRIM = Ring("tttt", "ttttttt", "tttt")
_LOW = Ring("ptkn", "ppppppp", "pppn")
_PLAIN = Ring("pppp", "ppppppp", "pppp")
_LIGHTS = Ring("phkk", "ppppppp", "rrpp")
_CABIN = Ring("pggg", "pgggpgp", "pggg")


@dataclass(frozen=True, slots=True)
class Model:
    """A kind of vehicle: hulls from front to back, the x of its axles, and the radius of its wheels, in m.

    `weight` says how common it is; `half_track` is half the distance between the wheels of an axle.
    """

    class_id: int
    weight: float
    hulls: tuple[Hull, ...]
    axles: tuple[float, ...]
    wheel: float
    half_track: float
    half_length: float


def _car(
    length: float,
    half: float,
    belt: float,
    roof: float,
    hood: float,
    cabin: tuple[float, float],
    top: tuple[float, float],
) -> tuple[Hull, ...]:
    """Return a car `length` m long, with its glass between `belt` and `roof`.

    `hood` is the height of its nose; `cabin` (front, back) reaches along the belt and `top` along the roof.
    """
    nose, tail = length / 2, -length / 2
    levels = (
        Level(0.2, nose - 0.12, tail + 0.12, half - 0.1, 0.25),
        Level(0.36, nose, tail, half - 0.02, 0.3),
        Level(0.55, nose, tail, half, 0.3),
        Level(hood - 0.1, nose - 0.02, tail, half, 0.3),
        Level(hood, nose - 0.12, tail + 0.05, half, 0.3),
        Level(belt, cabin[0], cabin[1], half - 0.03, 0.16),
        Level(roof - 0.06, top[0], top[1], half - 0.22, 0.12),
        Level(roof, top[0] - 0.16, top[1] + 0.14, half - 0.34, 0.2),
    )
    return (Hull(levels, (_TRIM, _LOW, _LIGHTS, _PLAIN, _PLAIN, _CABIN, _PLAIN), "p"),)


def _bus(length: float, height: float) -> tuple[Hull, ...]:
    nose, half = length / 2, 1.25
    levels = tuple(
        Level(up, nose - inset, -nose + inset / 2, half - side, 0.12)
        for up, inset, side in (
            (0.28, 0.05, 0.03),
            (0.6, 0.0, 0.0),
            (0.95, 0.0, 0.0),
            (1.25, 0.02, 0.0),
            (height - 0.75, 0.1, 0.02),
            (height - 0.35, 0.16, 0.04),
            (height - 0.08, 0.24, 0.1),
            (height, 0.4, 0.25),
        )
    )
    rings = (
        _TRIM,
        Ring("phkn", "ppppppp", "prpn"),
        Ring("pppp", "pqpqqpp", "prpp"),
        Ring("kggg", "kgggggk", "pggg"),
        Ring("ksss", "kkksskk", "pppp"),
        _PLAIN,
        _PLAIN,
    )
    return (Hull(levels, rings, "w"),)


def _van(length: float, height: float, half: float, *, windows: bool) -> tuple[Hull, ...]:
    nose = length / 2
    levels = (
        Level(0.22, nose - 0.1, -nose + 0.05, half - 0.06, 0.2),
        Level(0.5, nose, -nose, half, 0.2),
        Level(0.8, nose - 0.02, -nose, half, 0.2),
        Level(1.1, nose - 0.35, -nose, half, 0.15),
        Level(height - 0.5, nose - 1.15, -nose + 0.03, half - 0.06, 0.1),
        Level(height - 0.1, nose - 1.45, -nose + 0.08, half - 0.12, 0.1),
        Level(height, nose - 1.7, -nose + 0.25, half - 0.25, 0.15),
    )
    cabin = Ring("pggg", "pgggpgp" if windows else "pggpppp", "pggg")
    return (Hull(levels, (_TRIM, _LOW, _LIGHTS, _PLAIN, cabin, _PLAIN), "p"),)


def _cab(front: float, depth: float, height: float, half: float) -> Hull:
    """Return the cab of a truck, from `front` backwards by `depth` m."""
    levels = tuple(
        Level(up, front - inset, front - depth, half - side, 0.12)
        for up, inset, side in (
            (0.4, 0.05, 0.02),
            (0.75, 0.0, 0.0),
            (1.05, 0.0, 0.0),
            (1.45, 0.02, 0.0),
            (height - 0.4, 0.2, 0.05),
            (height, 0.45, 0.15),
        )
    )
    rings = (
        _TRIM,
        Ring("thkk", "ppppppp", "tttt"),
        Ring("ppkk", "ppppppp", "tttt"),
        Ring("kggg", "pggggpp", "tttt"),
        _PLAIN,
    )
    return Hull(levels, rings, "p")


def _load(front: float, back: float, floor: float, height: float, half: float, material: str) -> Hull:
    """Return a box or a bed on a truck's frame, from `floor` up to `height` m."""
    levels = tuple(Level(up, front, back, half, 0.02) for up in (floor - 0.25, floor, floor + 0.06, height))
    sides = Ring(material * 4, material * 7, material * 4)
    rings = (Ring("tttt", "ttttttt", "rrtn"), _TRIM, sides)
    return Hull(levels, rings, material)


def _truck(length: float, height: float, half: float) -> tuple[Hull, ...]:
    nose = length / 2
    cab_height = min(height - 0.2, 2.0 + 0.15 * length / 2)
    return (_cab(nose, 1.75, cab_height, half - 0.05), _load(nose - 1.95, -nose, 1.05, height, half, "c"))


def _tipper(length: float, half: float) -> tuple[Hull, ...]:
    nose = length / 2
    return (_cab(nose, 1.8, 2.7, half - 0.05), _load(nose - 2.0, -nose, 1.1, 2.2, half, "c"))


def _pickup(length: float) -> tuple[Hull, ...]:
    cab = _car(length, 0.92, 1.08, 1.78, 0.95, (0.95, -0.75), (0.35, -0.6))
    return (*cab, _load(-0.95, -length / 2, 0.9, 1.15, 0.9, "p"))


MODELS = (
    Model(CAR, 0.26, _car(4.5, 0.9, 0.95, 1.45, 0.8, (1.0, -1.75), (0.35, -1.0)), (1.35, -1.35), 0.32, 0.86, 2.25),
    Model(CAR, 0.22, _car(4.0, 0.87, 0.98, 1.5, 0.82, (1.05, -1.85), (0.45, -1.5)), (1.25, -1.3), 0.31, 0.83, 2.0),
    Model(CAR, 0.18, _car(4.6, 0.93, 1.08, 1.68, 0.95, (1.05, -2.1), (0.5, -1.85)), (1.4, -1.4), 0.37, 0.88, 2.3),
    Model(CAR, 0.06, _car(4.7, 0.9, 0.97, 1.48, 0.82, (1.1, -2.2), (0.45, -2.0)), (1.4, -1.4), 0.32, 0.86, 2.35),
    Model(CAR, 0.06, _van(4.7, 1.85, 0.92, windows=True), (1.45, -1.5), 0.33, 0.88, 2.35),
    Model(CAR, 0.06, _van(5.4, 2.35, 1.0, windows=False), (1.75, -1.75), 0.35, 0.95, 2.7),
    Model(BUS, 0.06, _bus(11.5, 3.1), (3.7, -2.7), 0.48, 1.2, 5.75),
    Model(BUS, 0.03, _bus(7.5, 2.8), (2.4, -1.9), 0.42, 1.2, 3.75),
    Model(TRUCK, 0.08, _truck(7.2, 3.2, 1.2), (2.6, -1.9), 0.46, 1.1, 3.6),
    Model(TRUCK, 0.04, _truck(5.6, 2.7, 1.0), (1.9, -1.5), 0.38, 0.92, 2.8),
    Model(TRUCK, 0.03, _tipper(7.5, 1.2), (2.6, -1.2, -2.4), 0.5, 1.1, 3.75),
    Model(TRUCK, 0.04, _pickup(5.2), (1.6, -1.6), 0.38, 0.88, 2.6),
)
# The share of each model in the traffic.
WEIGHTS = np.array([model.weight for model in MODELS]) / sum(model.weight for model in MODELS)
