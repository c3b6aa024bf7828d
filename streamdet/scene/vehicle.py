"""A car, bus or truck of one model and one livery, with wheels that turn and lamps that shine."""

from __future__ import annotations

import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.colour import pick
from streamdet.scene.light import Light
from streamdet.scene.models import Model
from streamdet.scene.moment import Moment, turned
from streamdet.scene.sprite import Polygon
from streamdet.scene.wheels import convex_outline, tyres, wheels
from streamdet.types import Float64Array

# Shares of new cars by colour are roughly these: white, black, grey, silver, blue, red, the rest.
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
# Lamps and signs that are on give light of their own.
_LIT = {"h": np.array([1.0, 0.98, 0.9]), "r": np.array([0.95, 0.12, 0.08]), "s": np.array([1.0, 0.6, 0.15])}


class Vehicle:
    """One vehicle; its middle on the ground is its origin. A `parked` one has its lamps off."""

    def __init__(self, model: Model, rng: np.random.Generator, *, parked: bool = False) -> None:
        self.model, self.class_id, self.parked = model, model.class_id, parked
        self.half_size = (model.half_length, model.half_track + 0.1)
        big = model.class_id != 2
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

    def polygons(self, camera: Camera, light: Light, moment: Moment) -> list[Polygon]:
        """Return what `camera` sees at `moment`."""
        glow = _LIT if light.dark and not self.parked else {}
        forward, left, _ = turned(moment.heading) @ (np.array(camera.position) - moment.origin)
        polygons = tyres(self.model, camera, light, moment)
        # From before it the camera sees the front hull before the others.
        for hull in self.model.hulls[::-1] if forward > 0 else self.model.hulls:
            polygons += hull.polygons(camera, light, self._palette, glow, moment)
        if abs(left) > self.model.half_track:
            polygons += wheels(self.model, self._rims, camera, light, moment, side=1 if left > 0 else -1)
        return polygons

    def shadow(self, light: Light, moment: Moment) -> list[Float64Array]:
        """Return the shadows on the ground, outlines (N, 3) in m."""
        slope = light.towards_sun[:2] / max(light.towards_sun[2], 0.1)
        return [_ground_hull(moment.in_world(hull.quads.reshape(-1, 3)), slope) for hull in self.model.hulls]

    def contact(self, moment: Moment) -> list[Float64Array]:
        """Return the ground below the vehicle, outlines (N, 3) in m."""
        base = np.concatenate([hull.base for hull in self.model.hulls]) * np.array([1, 1, 0])
        return [_ground_hull(moment.in_world(base), np.zeros(2))]

    def lamps(self, moment: Moment) -> tuple[Float64Array, Float64Array]:
        """Return the places (2, 3) m of the headlights and of the rear lights."""
        x, y = self.model.half_length, self.model.half_track - 0.2
        places = np.array([[x, y, 0.65], [x, -y, 0.65], [-x, y, 0.75], [-x, -y, 0.75]])
        places = moment.in_world(places)
        return places[:2], places[2:]


def _ground_hull(points: Float64Array, slope: Float64Array) -> Float64Array:
    flat = convex_outline(points[:, :2] - points[:, 2:] * slope)
    return np.column_stack([flat, np.zeros(len(flat))])
