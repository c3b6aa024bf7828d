"""The wheels of cars, buses and trucks."""

from __future__ import annotations

import cv2
import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.light import Light
from streamdet.scene.models import Model
from streamdet.scene.moment import Moment
from streamdet.scene.sprite import Polygon
from streamdet.types import Float64Array

_AROUND = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_SPOKES = 5
_TYRE_WIDTH_M = 0.2


def tyres(model: Model, camera: Camera, light: Light, moment: Moment) -> list[Polygon]:
    """Return all wheels as dark solids, to be painted before the body that hides most of them."""
    dark = 0.05 * light.around(moment.origin[None])[0]
    polygons = []
    for axle in model.axles:
        for y in (model.half_track, -model.half_track):
            outer, inner = _disc(model, axle, y, 1.0), _disc(model, axle, y - np.sign(y) * _TYRE_WIDTH_M, 1.0)
            px, _ = camera.project(moment.in_world(np.concatenate([outer, inner])))
            polygons.append(Polygon(convex_outline(px), dark))
    return polygons


def wheels(model: Model, rims: float, camera: Camera, light: Light, moment: Moment, side: int) -> list[Polygon]:
    """Return arch, tyre, rim and turning spokes of the wheels on one `side` (+1 left, -1 right).

    `rims` is how bright the rims are, 0 to 1.
    """
    around = light.around(moment.origin[None])[0]
    y = side * (model.half_track + 0.06)
    polygons = []
    for axle in model.axles:
        # The wheel rolls: angle = way / radius.
        gaps = _gaps(model, axle, y, moment.covered_m / model.wheel)
        pieces = [*(_disc(model, axle, y, share) for share in (1.12, 1.0, 0.64)), *gaps]
        px, _ = camera.project(moment.in_world(np.concatenate(pieces)))
        ends = np.cumsum([len(piece) for piece in pieces])[:-1]
        tones = (0.03, 0.1, rims, *[0.15] * len(gaps))
        polygons += [Polygon(piece, tone * around) for piece, tone in zip(np.split(px, ends), tones, strict=True)]
    return polygons


def convex_outline(points: Float64Array) -> Float64Array:
    """Return the corners of the convex hull of `points` (N, 2)."""
    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], np.float64)


def _disc(model: Model, x: float, y: float, share: float) -> Float64Array:
    radius = share * model.wheel
    return np.column_stack([x + radius * np.cos(_AROUND), np.full(14, y), model.wheel + radius * np.sin(_AROUND)])


def _gaps(model: Model, x: float, y: float, angle: float) -> list[Float64Array]:
    """Return what is open between the spokes of a wheel turned by `angle` rad."""
    centre, radius = np.array([x, y, model.wheel]), 0.56 * model.wheel
    gaps = []
    for middle in 2 * np.pi * np.arange(_SPOKES) / _SPOKES - angle:
        angles = middle + np.array([-0.42, 0.0, 0.42])
        outer = centre + radius * np.column_stack([np.cos(angles), np.zeros(3), np.sin(angles)])
        gaps.append(np.concatenate([outer, centre + 0.3 * (outer[1:2] - centre)]))
    return gaps
