"""The furniture of a street, and where it stands: lamp posts, trees, bushes, benches, bins, bollards and signs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.figures import Polygon, Tubes, pick
from streamdet.scene.light import Light
from streamdet.scene.plan import Plan
from streamdet.types import Float64Array

LAMP_HEIGHT_M = 6.0
# The stretch along the street with furniture.
_START_M, _END_M = -30.0, 90.0
_MOST_ITEMS = 200
# Distances from the camera at which an item does not fill the picture.
_CLEARANCE_M = {"tree": 11.0, "bush": 6.0}
_LEAST_CLEARANCE_M = 4.0
_METAL = ((0.35, 0.37, 0.38), (0.15, 0.17, 0.17), (0.6, 0.62, 0.62), (0.12, 0.25, 0.2))
_LEAVES = ((0.2, 0.32, 0.1), (0.28, 0.4, 0.14), (0.16, 0.25, 0.1), (0.4, 0.38, 0.14))
_SIGNS = ((0.8, 0.1, 0.1), (0.1, 0.25, 0.6), (0.1, 0.5, 0.45), (0.9, 0.75, 0.1))
_BARK, _WOOD = np.array([0.25, 0.2, 0.16]), np.array([0.45, 0.3, 0.18])
_OCTAGON = np.linspace(0, 2 * np.pi, 8, endpoint=False)


@dataclass(frozen=True, slots=True)
class Foliage:
    """Leaves as balls at `places` (N, 3) m with `radii` (N,) m and `colours` (N, 3)."""

    places: Float64Array
    radii: Float64Array
    colours: Float64Array

    def polygons(self, camera: Camera, light: Light) -> list[Polygon]:
        """Return the polygons that `camera` sees, far leaves first."""
        px, depth = camera.project(self.places)
        radii = self.radii * camera.px_per_m(depth)
        ring = np.column_stack([np.cos(_OCTAGON), np.sin(_OCTAGON)])
        around = light.around(self.places[:1])[0]
        middle = self.places.mean(axis=0)
        outward = (self.places - middle) / np.maximum(np.linalg.norm(self.places - middle, axis=1, keepdims=True), 0.1)
        colours = self.colours * light.shade(outward, around)
        return [Polygon(px[i] + radii[i] * ring, colours[i]) for i in np.argsort(-depth)]

    def shadow(self, light: Light) -> list[Float64Array]:
        """Return the shadows on the ground, outlines (N, 3) in m."""
        feet = self.places[:, :2] - self.places[:, 2:] * light.slope
        ring = np.column_stack([np.cos(_OCTAGON), np.sin(_OCTAGON), np.zeros(8)])
        return [np.append(foot, 0.0) + radius * ring for foot, radius in zip(feet, self.radii, strict=True)]


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of furniture at `place` (x, y) m, made of round limbs and perhaps leaves."""

    place: tuple[float, float]
    tubes: Tubes
    foliage: Foliage | None = None
    half_size: tuple[float, float] = (0.15, 0.15)
    is_lamp: bool = False
    is_bench: bool = False

    def polygons(self, camera: Camera, light: Light) -> list[Polygon]:
        """Return the polygons that `camera` sees."""
        leaves = self.foliage.polygons(camera, light) if self.foliage else []
        return self.tubes.polygons(camera, light) + leaves

    def shadow(self, light: Light) -> list[Float64Array]:
        """Return the shadows on the ground, outlines (N, 3) in m."""
        return self.tubes.shadow(light) + (self.foliage.shadow(light) if self.foliage else [])


def draw_item(rng: np.random.Generator, kind: str, place: tuple[float, float], *, leafless: bool) -> Item:
    """Return an item of `kind` at `place`: "lamp", "tree", "bush", "bench", "bin", "bollard" or "sign"."""
    if kind == "tree":
        return _tree(rng, place, leafless=leafless)
    if kind == "bush":
        return Item(
            place, _pole(place, _BARK, 0.1, 0.02), _leaves(rng, place, 0.5, rng.uniform(0.5, 1.0)), half_size=(0.5, 0.5)
        )
    if kind == "bench":
        return _bench(rng, place)
    return Item(place, _post(rng, kind, place), is_lamp=kind == "lamp")


def _post(rng: np.random.Generator, kind: str, place: tuple[float, float]) -> Tubes:
    metal = pick(rng, _METAL, 0.1)
    if kind == "lamp":
        tubes = _pole(place, metal, LAMP_HEIGHT_M, 0.07)
        # The arm reaches over the road.
        arm = -1.2 if place[1] > 0 else 1.2
        tubes.add(0, metal, _at(place, up=LAMP_HEIGHT_M), _at(place, y=arm, up=LAMP_HEIGHT_M + 0.25), 0.05)
        lantern = [_at(place, y=arm * reach, up=LAMP_HEIGHT_M + 0.22) for reach in (1.0, 1.35)]
        tubes.add(0, metal * 1.4, lantern[0], lantern[1], 0.11)
        return tubes
    if kind in ("bin", "bollard"):
        return _pole(place, metal, 0.9, 0.24 if kind == "bin" else 0.07)
    tubes = _pole(place, metal, 2.4, 0.035)
    tubes.add(1, pick(rng, _SIGNS, 0.1), _at(place, up=2.1), _at(place, up=2.3), 0.26)
    tubes.add(2, np.array([0.9, 0.9, 0.88]), _at(place, up=2.2), _at(place, up=2.21), 0.15)
    return tubes


def _at(place: tuple[float, float], x: float = 0.0, y: float = 0.0, up: float = 0.0) -> Float64Array:
    """Return the point (3,) that lies `x`, `y` and `up` m from `place` on the ground."""
    return np.array([place[0] + x, place[1] + y, up])


def _pole(place: tuple[float, float], colour: Float64Array, height: float, radius: float) -> Tubes:
    tubes = Tubes()
    tubes.add(0, colour, _at(place, up=radius), _at(place, up=height), radius)
    return tubes


def _bench(rng: np.random.Generator, place: tuple[float, float]) -> Item:
    tubes, metal = Tubes(), pick(rng, _METAL, 0.1)
    back = np.sign(place[1]) or 1.0
    for x in (-0.7, 0.7):
        tubes.add(0, metal, _at(place, x, up=0.03), _at(place, x, up=0.42), 0.03)
    for y, up in ((-0.2, 0.45), (0.0, 0.45), (0.2 * back, 0.45), (0.27 * back, 0.65), (0.3 * back, 0.82)):
        tubes.add(1, _WOOD, _at(place, -0.85, y, up), _at(place, 0.85, y, up), 0.05)
    return Item(place, tubes, half_size=(0.9, 0.3), is_bench=True)


def _tree(rng: np.random.Generator, place: tuple[float, float], *, leafless: bool) -> Item:
    height = rng.uniform(4.5, 9)
    tubes = _pole(place, _BARK, 0.55 * height, 0.05 + 0.013 * height)
    top = _at(place, up=0.5 * height)
    for _ in range(22 if leafless else 6):
        end = top + rng.normal(0, 0.16 * height, 3) + (0, 0, 0.28 * height)
        tubes.add(0, _BARK, top - (0, 0, rng.uniform(0, 0.15 * height)), end, 0.05, 0.012)
    if leafless:
        return Item(place, tubes)
    return Item(place, tubes, _leaves(rng, place, 0.7 * height, 0.27 * height))


def _leaves(rng: np.random.Generator, place: tuple[float, float], middle: float, spread: float) -> Foliage:
    """Return a lumpy crown of leaves, `spread` m wide to either side and `middle` m above `place`."""
    count = 450
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lumps = 1 + 0.25 * np.sin(3 * directions[:, 0] + rng.uniform(0, 6)) * np.sin(
        4 * directions[:, 2] + rng.uniform(0, 6)
    )
    places = directions * (spread * lumps * rng.uniform(0.4, 1.05, count) ** 0.35)[:, None]
    places[:, 2] = np.maximum(places[:, 2] * 0.95, 0.12 - middle)
    tones = pick(rng, _LEAVES, 0.12) * rng.uniform(0.6, 1.25, (count, 1))
    # Dark balls inside stand for the shade between the leaves.
    core = np.array([[0.0, 0.0, 0.1], [0.3, 0.2, -0.1], [-0.2, -0.3, -0.1]]) * spread
    places, tones = np.concatenate([core, places]), np.concatenate([np.full((3, 3), 0.45) * tones[0], tones])
    radii = np.concatenate([np.full(3, 0.6 * spread), spread * rng.uniform(0.05, 0.13, count)])
    return Foliage(places + np.array([*place, middle]), radii, tones)


def furnish(rng: np.random.Generator, plan: Plan, camera: Camera, *, leafless: bool) -> list[Item]:
    """Return lamp posts, trees, benches and the like, placed as `plan` suggests and not too close to `camera`."""
    eye = np.array(camera.position[:2])
    items = []
    for kind, place in _square_places(rng, plan) if plan.square else _street_places(rng, plan):
        if np.hypot(*(np.array(place) - eye)) > _CLEARANCE_M.get(kind, _LEAST_CLEARANCE_M):
            items.append(draw_item(rng, kind, place, leafless=leafless))
    return items[:_MOST_ITEMS]


def _street_places(rng: np.random.Generator, plan: Plan) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield kinds and places (x, y) in m along the pavements and verges of a street."""
    for band in plan.bands:
        if band.use not in ("walk", "verge"):
            continue
        # The edge at the road, and the direction from there to the houses.
        side = 1.0 if band.low >= 0 else -1.0
        kerb = band.low if side > 0 else band.high
        if band.use == "walk":
            yield from _row("lamp", kerb + side * 0.4, rng.uniform(16, 32), rng)
            yield from _row("sign", kerb + side * 0.5, rng.uniform(20, 60), rng)
            if rng.random() < 0.25:
                yield from _row("bollard", kerb + side * 0.3, rng.uniform(1.6, 4), rng)
            yield from _row("bench", (band.high if side > 0 else band.low) - side * 0.6, rng.uniform(15, 60), rng)
            yield from _row("bin", kerb + side * 0.6, rng.uniform(25, 60), rng)
        if rng.random() < (0.6 if band.use == "verge" else 0.2):
            yield from _row("tree", kerb + side * min(0.9, (band.high - band.low) / 2), rng.uniform(6, 16), rng)
        if band.use == "verge" and rng.random() < 0.5:
            yield from _row("bush", (band.low + band.high) / 2, rng.uniform(1.5, 7), rng)


def _row(kind: str, y: float, spacing: float, rng: np.random.Generator) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield items of `kind` in a row along the street, about `spacing` m apart."""
    x = _START_M + rng.uniform(0, spacing)
    while x < _END_M:
        yield kind, (float(x), float(y))
        x += spacing * rng.uniform(0.85, 1.15)


def _square_places(rng: np.random.Generator, plan: Plan) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield kinds and places (x, y) in m scattered over a square."""
    right, left = plan.walls
    counts = {"tree": 8, "lamp": 8, "bench": 8, "bin": 4, "bush": 10, "sign": 5, "bollard": 8}
    for kind, most in counts.items():
        for _ in range(rng.integers(0, most + 1)):
            yield kind, (float(rng.uniform(-10, 60)), float(rng.uniform(right, left)))
