"""Where the furniture of a street stands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.furniture import Item, draw_item
from streamdet.scene.plan import Band, Plan

_START_M, _END_M = -30.0, 90.0
# Nothing stands so close to the camera that it fills the picture.
_CLEARANCE_M = {"tree": 11.0, "bush": 6.0}
_LEAST_CLEARANCE_M = 4.0
_MOST_ITEMS = 200


def furnish(rng: np.random.Generator, plan: Plan, camera: Camera, *, leafless: bool) -> list[Item]:
    """Return lamp posts, trees, benches and the like in the places where they belong in `plan`."""
    eye = np.array(camera.position[:2])
    items = []
    for kind, place in _square_places(rng, plan) if plan.square else _street_places(rng, plan):
        if np.hypot(*(np.array(place) - eye)) > _CLEARANCE_M.get(kind, _LEAST_CLEARANCE_M):
            items.append(draw_item(rng, kind, place, leafless=leafless))
    return items[:_MOST_ITEMS]


def _street_places(rng: np.random.Generator, plan: Plan) -> Iterator[tuple[str, tuple[float, float]]]:
    for band in plan.bands:
        if band.use not in ("walk", "verge"):
            continue
        # The edge at the road, and the way from it to the houses.
        side = 1.0 if band.low >= 0 else -1.0
        kerb = band.low if side > 0 else band.high
        if band.use == "walk":
            yield from _row("lamp", kerb + side * 0.4, rng.uniform(16, 32), rng)
            yield from _row("sign", kerb + side * 0.5, rng.uniform(20, 60), rng)
            if rng.random() < 0.25:
                yield from _row("bollard", kerb + side * 0.3, rng.uniform(1.6, 4), rng)
            yield from _row("bench", _far(band, side) - side * 0.6, rng.uniform(15, 60), rng)
            yield from _row("bin", kerb + side * 0.6, rng.uniform(25, 60), rng)
        if rng.random() < (0.6 if band.use == "verge" else 0.2):
            yield from _row("tree", kerb + side * min(0.9, (band.high - band.low) / 2), rng.uniform(6, 16), rng)
        if band.use == "verge" and rng.random() < 0.5:
            yield from _row("bush", (band.low + band.high) / 2, rng.uniform(1.5, 7), rng)


def _row(kind: str, y: float, spacing: float, rng: np.random.Generator) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield things in a row along the street, about `spacing` m apart."""
    x = _START_M + rng.uniform(0, spacing)
    while x < _END_M:
        yield kind, (float(x), float(y))
        x += spacing * rng.uniform(0.85, 1.15)


def _far(band: Band, side: float) -> float:
    return band.high if side > 0 else band.low


def _square_places(rng: np.random.Generator, plan: Plan) -> Iterator[tuple[str, tuple[float, float]]]:
    right, left = plan.walls
    counts = {"tree": 8, "lamp": 8, "bench": 8, "bin": 4, "bush": 10, "sign": 5, "bollard": 8}
    for kind, most in counts.items():
        for _ in range(rng.integers(0, most + 1)):
            yield kind, (float(rng.uniform(-10, 60)), float(rng.uniform(right, left)))
