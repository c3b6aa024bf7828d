"""Bicycles, motorcycles and scooters, parked or ridden."""

from __future__ import annotations

import itertools

import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.colour import pick
from streamdet.scene.light import Light
from streamdet.scene.moment import Moment
from streamdet.scene.sprite import Polygon
from streamdet.scene.tubes import Tubes
from streamdet.types import Float64Array

BICYCLE, MOTORCYCLE = 1, 3
_PAINTS = (
    (0.08, 0.08, 0.09),
    (0.65, 0.1, 0.1),
    (0.12, 0.25, 0.55),
    (0.75, 0.75, 0.75),
    (0.15, 0.4, 0.3),
    (0.85, 0.6, 0.1),
)
_ROUND = np.linspace(0, 2 * np.pi, 15)
_RUBBER = np.array([0.07, 0.07, 0.07])
_DARK, _STEEL = np.array([0.08, 0.08, 0.09]), np.array([0.5, 0.5, 0.52])


class Cycle:
    """A two-wheeler; the rider's saddle is above its origin."""

    half_size = (0.9, 0.3)

    def __init__(self, class_id: int, rng: np.random.Generator) -> None:
        self.class_id = class_id
        self._paint = pick(rng, _PAINTS, 0.12)
        self._scooter = class_id == MOTORCYCLE and rng.random() < 0.5
        self._basket = class_id == BICYCLE and rng.random() < 0.3
        big = class_id == MOTORCYCLE
        # Radii of wheel and tyre, and the hubs' x, in m.
        self._wheel, self._tyre_radius = (0.24 if self._scooter else 0.31, 0.055) if big else (0.34, 0.02)
        self._hubs = (0.95, -0.4) if big else (0.74, -0.32)

    def polygons(self, camera: Camera, light: Light, moment: Moment) -> list[Polygon]:
        """Return what `camera` sees at `moment`."""
        return self._frame(moment).polygons(camera, light)

    def shadow(self, light: Light, moment: Moment) -> list[Float64Array]:
        """Return the shadows on the ground, outlines (N, 3) in m."""
        return self._frame(moment).shadow(light)

    def contact(self, moment: Moment) -> list[Float64Array]:
        """Return the ground below, outlines (N, 3) in m."""
        flat = np.array([[0.9, 0.12, 0], [0.9, -0.12, 0], [-0.6, -0.12, 0], [-0.6, 0.12, 0]])
        return [moment.in_world(flat)]

    def _frame(self, moment: Moment) -> Tubes:
        body = Tubes()
        for hub in self._hubs:
            self._tyre(body, hub)
        if self.class_id == BICYCLE:
            self._bicycle(body, -moment.covered_m / self._wheel)
        elif self._scooter:
            self._scooter_body(body)
        else:
            self._motorcycle(body)
        return body.placed(moment)

    def _tyre(self, body: Tubes, hub: float) -> None:
        radius = self._wheel - self._tyre_radius
        places = list(zip(hub + radius * np.cos(_ROUND), self._wheel + radius * np.sin(_ROUND), strict=True))
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
        _tube(body, 2, _DARK, (-0.12, 0.94), (0.12, 0.94), 0.05, 0.03)
        _tube(body, 2, _STEEL, head, (0.54, 1.06), 0.018)
        body.add(2, _DARK, np.array([0.52, 0.25, 1.06]), np.array([0.52, -0.25, 1.06]), 0.02)
        if self._basket:
            _tube(body, 2, _STEEL * 0.7, (0.72, 0.85), (0.72, 0.98), 0.14)

    def _motorcycle(self, body: Tubes) -> None:
        self._hubs_and_guards(body)
        _tube(body, 0, _STEEL, (0.95, 0.31), (0.62, 0.98), 0.045)
        _tube(body, 0, _DARK, (-0.4, 0.31), (0.15, 0.4), 0.055)
        _tube(body, 1, _DARK * 1.8, (0.1, 0.42), (0.42, 0.44), 0.19)
        _tube(body, 1, _DARK, (0.45, 0.4), (0.62, 0.85), 0.05)
        _tube(body, 1, _STEEL, (0.1, 0.28), (-0.62, 0.36), 0.06)
        _tube(body, 1, self._paint, (-0.15, 0.62), (0.2, 0.62), 0.13)
        _tube(body, 2, self._paint, (0.18, 0.76), (0.55, 0.82), 0.16, 0.13)
        _tube(body, 2, _DARK, (-0.5, 0.79), (0.12, 0.75), 0.1)
        _tube(body, 2, self._paint, (-0.4, 0.72), (-0.72, 0.86), 0.09, 0.05)
        self._front(body, 0.62)

    def _scooter_body(self, body: Tubes) -> None:
        self._hubs_and_guards(body)
        _tube(body, 0, _DARK, (0.95, 0.24), (0.8, 0.5), 0.05)
        _tube(body, 1, self._paint, (0.15, 0.26), (0.62, 0.24), 0.1)
        _tube(body, 1, self._paint, (-0.42, 0.5), (0.05, 0.45), 0.19, 0.15)
        _tube(body, 2, self._paint, (0.66, 0.32), (0.58, 0.88), 0.17, 0.12)
        _tube(body, 2, _DARK, (-0.5, 0.72), (0.12, 0.7), 0.1)
        self._front(body, 0.56)

    def _hubs_and_guards(self, body: Tubes) -> None:
        """Add the wheels' hubs, and the mudguard over the front one."""
        front = self._hubs[0]
        for hub in self._hubs:
            _tube(body, 0, _STEEL * 0.8, (hub, self._wheel), (hub + 0.001, self._wheel), 0.45 * self._wheel)
        _tube(body, 0, self._paint, (front - 0.18, 2 * self._wheel), (front + 0.14, 2 * self._wheel + 0.02), 0.05)

    def _front(self, body: Tubes, x: float) -> None:
        """Add handlebar, headlight and mirrors."""
        body.add(3, _DARK, np.array([x - 0.06, 0.33, 1.02]), np.array([x - 0.06, -0.33, 1.02]), 0.025)
        _tube(body, 3, np.array([0.9, 0.9, 0.85]), (x + 0.12, 0.9), (x + 0.14, 0.9), 0.08)
        for side in (0.3, -0.3):
            body.add(3, _DARK, np.array([x, side, 1.16]), np.array([x, side * 1.2, 1.17]), 0.035)


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
