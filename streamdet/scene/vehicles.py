"""Cars, buses and trucks of hulls on wheels; bicycles and motorcycles of tubes."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.figures import Placement, Polygon, Tubes, pick, turned
from streamdet.scene.hulls import Model
from streamdet.scene.light import Light
from streamdet.scene.truth import BICYCLE, CAR, MOTORCYCLE
from streamdet.types import Float64Array

_SPOKES = 5
_TYRE_WIDTH_M = 0.2
_DISC_ANGLES = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_CYCLE_TYRE_ANGLES = np.linspace(0, 2 * np.pi, 15)
_RUBBER = np.array([0.07, 0.07, 0.07])
_BLACK, _STEEL = np.array([0.08, 0.08, 0.09]), np.array([0.5, 0.5, 0.52])
# Roughly the colours of new cars: white, black, grey, silver, blue, red and others.
_PAINTS = (
    (0.88, 0.88, 0.87),
    (0.88, 0.88, 0.87),
    (0.06, 0.06, 0.07),
    (0.10, 0.10, 0.11),
    (0.32, 0.33, 0.35),
    (0.45, 0.46, 0.48),
    (0.66, 0.67, 0.68),
    (0.13, 0.22, 0.42),
    (0.5, 0.08, 0.08),
    (0.7, 0.12, 0.1),
    (0.2, 0.35, 0.27),
    (0.62, 0.55, 0.42),
    (0.85, 0.65, 0.12),
)
_LIVERIES = (
    (0.8, 0.1, 0.1),
    (0.15, 0.35, 0.6),
    (0.9, 0.9, 0.88),
    (0.2, 0.5, 0.3),
    (0.9, 0.7, 0.15),
    (0.85, 0.45, 0.1),
    (0.5, 0.5, 0.52),
)
_CYCLE_PAINTS = (
    (0.08, 0.08, 0.09),
    (0.65, 0.1, 0.1),
    (0.12, 0.25, 0.55),
    (0.75, 0.75, 0.75),
    (0.15, 0.4, 0.3),
    (0.85, 0.6, 0.1),
)
# Light given off by materials of a hull when the lamps are on: headlights, rear lights, signs.
_LIT = {"h": np.array([1.0, 0.98, 0.9]), "r": np.array([0.95, 0.12, 0.08]), "s": np.array([1.0, 0.6, 0.15])}


class Vehicle:
    """A car, bus or truck of one model in colours of its own; the lamps of a `parked` one are off."""

    def __init__(self, model: Model, rng: np.random.Generator, *, parked: bool = False) -> None:
        self.model, self.class_id, self.parked = model, model.class_id, parked
        self.half_size = (model.half_length, model.half_track + 0.1)
        big = model.class_id != CAR
        paint = pick(rng, _LIVERIES if big else _PAINTS, 0.1)
        second = pick(rng, _LIVERIES, 0.1) if rng.random() < 0.5 else paint
        tint = rng.uniform(0.6, 1.6)
        self._palette = {
            "p": paint,
            "q": second,
            "c": pick(rng, _LIVERIES if rng.random() < 0.6 else ((0.85, 0.85, 0.84), (0.4, 0.42, 0.36)), 0.1),
            "g": tint * np.array([0.09, 0.11, 0.13]),
            "t": paint * 0.8 if rng.random() < 0.5 else np.array([0.12, 0.12, 0.13]),
            "k": np.array([0.06, 0.06, 0.07]),
            "h": np.array([0.75, 0.77, 0.8]),
            "r": np.array([0.5, 0.05, 0.05]),
            "n": np.array([0.85, 0.85, 0.75]),
            "s": np.array([0.12, 0.1, 0.06]),
            "w": np.array([0.8, 0.8, 0.8]),
        }
        self._rims = rng.uniform(0.35, 0.75)

    def polygons(self, camera: Camera, light: Light, placement: Placement) -> list[Polygon]:
        """Return the polygons that `camera` sees at `placement`."""
        glow = _LIT if light.dark and not self.parked else {}
        forward, left, _ = turned(placement.heading) @ (np.array(camera.position) - placement.origin)
        polygons = _wheel_solids(self.model, camera, light, placement)
        # Seen from ahead, the front hull is nearest and painted last.
        for hull in self.model.hulls[::-1] if forward > 0 else self.model.hulls:
            polygons += hull.polygons(camera, light, self._palette, glow, placement)
        if abs(left) > self.model.half_track:
            polygons += _wheel_faces(self.model, self._rims, camera, light, placement, side=1 if left > 0 else -1)
        return polygons

    def shadow(self, light: Light, placement: Placement) -> list[Float64Array]:
        """Return the shadows on the ground, outlines (N, 3) in m."""
        return [
            _ground_outline(placement.in_world(hull.quads.reshape(-1, 3)), light.slope) for hull in self.model.hulls
        ]

    def contact(self, placement: Placement) -> list[Float64Array]:
        """Return the ground below the vehicle, outlines (N, 3) in m."""
        base = np.concatenate([hull.base for hull in self.model.hulls]) * np.array([1, 1, 0])
        return [_ground_outline(placement.in_world(base), np.zeros(2))]

    def lamps(self, placement: Placement) -> tuple[Float64Array, Float64Array]:
        """Return the places of the headlights and of the rear lights, (2, 3) m each."""
        x, y = self.model.half_length, self.model.half_track - 0.2
        places = np.array([[x, y, 0.65], [x, -y, 0.65], [-x, y, 0.75], [-x, -y, 0.75]])
        places = placement.in_world(places)
        return places[:2], places[2:]


def _wheel_solids(model: Model, camera: Camera, light: Light, placement: Placement) -> list[Polygon]:
    """Return all wheels as dark solids, which the body, painted later, mostly hides."""
    dark = 0.05 * light.around(placement.origin[None])[0]
    polygons = []
    for axle in model.axles:
        for y in (model.half_track, -model.half_track):
            outer, inner = _disc(model, axle, y, 1.0), _disc(model, axle, y - np.sign(y) * _TYRE_WIDTH_M, 1.0)
            px, _ = camera.project(placement.in_world(np.concatenate([outer, inner])))
            polygons.append(Polygon(_convex_outline(px), dark))
    return polygons


def _wheel_faces(
    model: Model, rims: float, camera: Camera, light: Light, placement: Placement, side: int
) -> list[Polygon]:
    """Return arch, tyre, rim and turning spokes of the wheels on one `side` (+1 left, -1 right).

    `rims` is the brightness of the rims, 0 to 1.
    """
    around = light.around(placement.origin[None])[0]
    y = side * (model.half_track + 0.06)
    polygons = []
    for axle in model.axles:
        # The wheel rolls: angle = distance / radius.
        gaps = _gaps(model, axle, y, placement.covered_m / model.wheel)
        pieces = [*(_disc(model, axle, y, share) for share in (1.12, 1.0, 0.64)), *gaps]
        px, _ = camera.project(placement.in_world(np.concatenate(pieces)))
        ends = np.cumsum([len(piece) for piece in pieces])[:-1]
        tones = (0.03, 0.1, rims, *[0.15] * len(gaps))
        polygons += [Polygon(piece, tone * around) for piece, tone in zip(np.split(px, ends), tones, strict=True)]
    return polygons


def _convex_outline(points: Float64Array) -> Float64Array:
    """Return the corners of the convex hull of `points` (N, 2)."""
    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], np.float64)


def _disc(model: Model, x: float, y: float, share: float) -> Float64Array:
    radius = share * model.wheel
    return np.column_stack(
        [x + radius * np.cos(_DISC_ANGLES), np.full(14, y), model.wheel + radius * np.sin(_DISC_ANGLES)]
    )


def _gaps(model: Model, x: float, y: float, angle: float) -> list[Float64Array]:
    """Return the gaps between the spokes of a wheel that is turned by `angle` rad."""
    centre, radius = np.array([x, y, model.wheel]), 0.56 * model.wheel
    gaps = []
    for middle in 2 * np.pi * np.arange(_SPOKES) / _SPOKES - angle:
        angles = middle + np.array([-0.42, 0.0, 0.42])
        outer = centre + radius * np.column_stack([np.cos(angles), np.zeros(3), np.sin(angles)])
        gaps.append(np.concatenate([outer, centre + 0.3 * (outer[1:2] - centre)]))
    return gaps


def _ground_outline(points: Float64Array, slope: Float64Array) -> Float64Array:
    """Return the outline (N, 3) m on the ground of `points` (N, 3) m: p - z slope for each, see Light.slope."""
    flat = _convex_outline(points[:, :2] - points[:, 2:] * slope)
    return np.column_stack([flat, np.zeros(len(flat))])


class Cycle:
    """A bicycle, a motorcycle or a scooter, without its rider; its saddle is above its origin."""

    half_size = (0.9, 0.3)

    def __init__(self, class_id: int, rng: np.random.Generator) -> None:
        self.class_id = class_id
        self._paint = pick(rng, _CYCLE_PAINTS, 0.12)
        self._scooter = class_id == MOTORCYCLE and rng.random() < 0.5
        self._basket = class_id == BICYCLE and rng.random() < 0.3
        motor = class_id == MOTORCYCLE
        # Radii of wheel and tyre, and the hubs' x, in m.
        self._wheel, self._tyre_radius = (0.24 if self._scooter else 0.31, 0.055) if motor else (0.34, 0.02)
        self._hubs = (0.95, -0.4) if motor else (0.74, -0.32)

    def polygons(self, camera: Camera, light: Light, placement: Placement) -> list[Polygon]:
        """Return the polygons that `camera` sees at `placement`."""
        return self._body(placement).polygons(camera, light)

    def shadow(self, light: Light, placement: Placement) -> list[Float64Array]:
        """Return the shadows on the ground, outlines (N, 3) in m."""
        return self._body(placement).shadow(light)

    def contact(self, placement: Placement) -> list[Float64Array]:
        """Return the ground below, outlines (N, 3) in m."""
        flat = np.array([[0.9, 0.12, 0], [0.9, -0.12, 0], [-0.6, -0.12, 0], [-0.6, 0.12, 0]])
        return [placement.in_world(flat)]

    def _body(self, placement: Placement) -> Tubes:
        body = Tubes()
        for hub in self._hubs:
            self._tyre(body, hub)
        if self.class_id == BICYCLE:
            self._bicycle(body, -placement.covered_m / self._wheel)
        elif self._scooter:
            self._scooter_body(body)
        else:
            self._motorcycle(body)
        return body.placed(placement)

    def _tyre(self, body: Tubes, hub: float) -> None:
        radius = self._wheel - self._tyre_radius
        places = list(
            zip(
                hub + radius * np.cos(_CYCLE_TYRE_ANGLES),
                self._wheel + radius * np.sin(_CYCLE_TYRE_ANGLES),
                strict=True,
            )
        )
        for start, end in itertools.pairwise(places):
            _tube(body, 0, _RUBBER, start, end, self._tyre_radius)

    def _bicycle(self, body: Tubes, angle: float) -> None:
        rear, crank, seat, head, front = (-0.32, 0.34), (0.2, 0.28), (0.0, 0.9), (0.56, 0.92), (0.74, 0.34)
        for hub in self._hubs:
            for spoke in angle + np.arange(0, np.pi, np.pi / 4):
                reach = (0.3 * np.cos(spoke), 0.3 * np.sin(spoke))
                _tube(body, 0, _STEEL, (hub - reach[0], 0.34 - reach[1]), (hub + reach[0], 0.34 + reach[1]), 0.004)
        for start, end in ((rear, crank), (rear, seat), (crank, seat), (crank, head), (seat, head), (head, front)):
            _tube(body, 1, self._paint, start, end, 0.022)
        _tube(body, 2, _BLACK, (-0.12, 0.94), (0.12, 0.94), 0.05, 0.03)
        _tube(body, 2, _STEEL, head, (0.54, 1.06), 0.018)
        body.add(2, _BLACK, np.array([0.52, 0.25, 1.06]), np.array([0.52, -0.25, 1.06]), 0.02)
        if self._basket:
            _tube(body, 2, _STEEL * 0.7, (0.72, 0.85), (0.72, 0.98), 0.14)

    def _motorcycle(self, body: Tubes) -> None:
        self._hubs_and_guards(body)
        _tube(body, 0, _STEEL, (0.95, 0.31), (0.62, 0.98), 0.045)
        _tube(body, 0, _BLACK, (-0.4, 0.31), (0.15, 0.4), 0.055)
        _tube(body, 1, _BLACK * 1.8, (0.1, 0.42), (0.42, 0.44), 0.19)
        _tube(body, 1, _BLACK, (0.45, 0.4), (0.62, 0.85), 0.05)
        _tube(body, 1, _STEEL, (0.1, 0.28), (-0.62, 0.36), 0.06)
        _tube(body, 1, self._paint, (-0.15, 0.62), (0.2, 0.62), 0.13)
        _tube(body, 2, self._paint, (0.18, 0.76), (0.55, 0.82), 0.16, 0.13)
        _tube(body, 2, _BLACK, (-0.5, 0.79), (0.12, 0.75), 0.1)
        _tube(body, 2, self._paint, (-0.4, 0.72), (-0.72, 0.86), 0.09, 0.05)
        self._front(body, 0.62)

    def _scooter_body(self, body: Tubes) -> None:
        self._hubs_and_guards(body)
        _tube(body, 0, _BLACK, (0.95, 0.24), (0.8, 0.5), 0.05)
        _tube(body, 1, self._paint, (0.15, 0.26), (0.62, 0.24), 0.1)
        _tube(body, 1, self._paint, (-0.42, 0.5), (0.05, 0.45), 0.19, 0.15)
        _tube(body, 2, self._paint, (0.66, 0.32), (0.58, 0.88), 0.17, 0.12)
        _tube(body, 2, _BLACK, (-0.5, 0.72), (0.12, 0.7), 0.1)
        self._front(body, 0.56)

    def _hubs_and_guards(self, body: Tubes) -> None:
        """Add the wheels' hubs, and the mudguard over the front one."""
        front = self._hubs[0]
        for hub in self._hubs:
            _tube(body, 0, _STEEL * 0.8, (hub, self._wheel), (hub + 0.001, self._wheel), 0.45 * self._wheel)
        _tube(body, 0, self._paint, (front - 0.18, 2 * self._wheel), (front + 0.14, 2 * self._wheel + 0.02), 0.05)

    def _front(self, body: Tubes, x: float) -> None:
        """Add handlebar, headlight and mirrors around `x` m."""
        body.add(3, _BLACK, np.array([x - 0.06, 0.33, 1.02]), np.array([x - 0.06, -0.33, 1.02]), 0.025)
        _tube(body, 3, np.array([0.9, 0.9, 0.85]), (x + 0.12, 0.9), (x + 0.14, 0.9), 0.08)
        for side in (0.3, -0.3):
            body.add(3, _BLACK, np.array([x, side, 1.16]), np.array([x, side * 1.2, 1.17]), 0.035)


def _tube(
    body: Tubes,
    part: int,
    colour: Float64Array,
    start: tuple[float, float],
    end: tuple[float, float],
    radius: float,
    end_radius: float = -1,
) -> None:
    """Add a capsule in the plane of the wheels, `start` and `end` as (forward, up) in m."""
    body.add(part, colour, np.array([start[0], 0, start[1]]), np.array([end[0], 0, end[1]]), radius, end_radius)
