"""The plan of a street, an avenue or a square: bands of ground, lanes, walls and lawns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Use = Literal["road", "parking", "walk", "verge"]
# Up to this distance from its middle a place belongs to a lane.
_HALF_LANE_M = 1.8


@dataclass(frozen=True, slots=True)
class Band:
    """The strip of ground from `low` to `high` (y in m), its `surface` and its `use`."""

    low: float
    high: float
    surface: str
    use: Use


@dataclass(frozen=True, slots=True)
class TrafficLane:
    """A lane along `y` m; vehicles drive towards `direction` (+1 or -1 along x) at about `speed` m/s."""

    y: float
    direction: int
    speed: float

    @property
    def heading(self) -> float:
        """The direction of travel in rad."""
        return 0.0 if self.direction > 0 else np.pi


@dataclass(frozen=True, slots=True)
class Plan:
    """Bands from right to left, lanes, the y of the two walls and the x of a zebra crossing in m, and lawns.

    `walled` says on which sides (right, left) houses stand at the wall; beyond the walls the surface is `beyond`. A
    square has no lanes; each of its lawns is a half-plane a x + b y > c, in m.
    """

    bands: tuple[Band, ...]
    lanes: tuple[TrafficLane, ...]
    walls: tuple[float, float]
    walled: tuple[bool, bool]
    crossing: float | None
    lawns: tuple[tuple[float, float, float], ...]
    beyond: str

    @property
    def square(self) -> bool:
        """Whether this is a square, where people walk in every direction."""
        return not self.lanes

    def between_walls(self, margin: float) -> tuple[float, float]:
        """Return the range of y in m that keeps `margin` m from the houses; infinite on a side without houses."""
        (right, left), (right_wall, left_wall) = self.walls, self.walled
        return right + margin if right_wall else -np.inf, left - margin if left_wall else np.inf

    def is_open(self, y: float, margin: float) -> bool:
        """Return whether `y` m is at least `margin` m away from every house."""
        low, high = self.between_walls(margin)
        return low < y < high

    def band_at(self, y: float) -> Band | None:
        """Return the band that holds `y` m, if any."""
        return next((band for band in self.bands if band.low <= y < band.high), None)

    def lane_at(self, y: float) -> TrafficLane | None:
        """Return the first lane that holds `y` m, if any."""
        return next((lane for lane in self.lanes if abs(lane.y - y) < _HALF_LANE_M), None)

    def is_off_road(self, y: float) -> bool:
        """Return whether `y` m lies in a band other than the road."""
        band = self.band_at(y)
        return band is not None and band.use != "road"


def draw_plan(rng: np.random.Generator) -> Plan:
    """Return a street, a wide avenue or a square."""
    kind = rng.choice(["street", "avenue", "square"], p=[0.5, 0.2, 0.3])
    return _square(rng) if kind == "square" else _street(rng, avenue=kind == "avenue")


def _street(rng: np.random.Generator, *, avenue: bool) -> Plan:
    lane_width = rng.uniform(3.0, 3.6)
    lanes_each_way = int(rng.integers(2, 4) if avenue else rng.integers(1, 3))
    half_road = lanes_each_way * lane_width
    speed = rng.uniform(8, 16) if avenue else rng.uniform(4, 11)
    # Traffic keeps to the right, or to the left.
    side = 1 if rng.random() < 0.6 else -1
    lanes = [
        TrafficLane(way * (i + 0.5) * lane_width, -way * side, speed * rng.uniform(0.8, 1.2))
        for way in (-1, 1)
        for i in range(lanes_each_way)
    ]
    road = str(rng.choice(["asphalt", "asphalt", "concrete"]))
    bands = [Band(-half_road, half_road, road, "road")]
    for way in (-1, 1):
        bands += _pavement(rng, way, half_road, road, avenue=avenue)
    bands.sort(key=lambda band: band.low)
    walled = (bool(rng.random() < 0.7), bool(rng.random() < 0.7))
    crossing = float(rng.uniform(8, 30)) if rng.random() < 0.4 else None
    walls = (bands[0].low, bands[-1].high)
    return Plan(tuple(bands), tuple(lanes), walls, walled, crossing, (), _beyond(rng))


def _pavement(rng: np.random.Generator, way: int, edge: float, road: str, *, avenue: bool) -> list[Band]:
    """Return the bands beyond the `edge` of the road on the side `way`: perhaps parking and verges, and a pavement."""
    widths: list[tuple[float, str, Use]] = []
    if not avenue and rng.random() < 0.55:
        widths.append((2.3, road, "parking"))
    if rng.random() < 0.3:
        widths.append((rng.uniform(1.2, 4), str(rng.choice(["grass", "gravel"])), "verge"))
    widths.append(
        (rng.uniform(2.5, 6.5), str(rng.choice(["paving", "slabs", "asphalt", "concrete", "cobbles"])), "walk")
    )
    if rng.random() < 0.25:
        widths.append((rng.uniform(2, 8), "grass", "verge"))
    bands = []
    for width, surface, use in widths:
        low, high = sorted((way * edge, way * (edge + width)))
        bands.append(Band(low, high, surface, use))
        edge += width
    return bands


def _square(rng: np.random.Generator) -> Plan:
    half = rng.uniform(12, 30)
    surface = str(rng.choice(["asphalt", "paving", "slabs", "cobbles", "concrete", "gravel", "grass"]))
    lawns = []
    for _ in range(0 if surface == "grass" else rng.integers(0, 4)):
        angle = rng.uniform(0, 2 * np.pi)
        # A border some metres from a place in the middle of the square.
        lawns.append((np.cos(angle), np.sin(angle), rng.uniform(2, 12) + 14 * np.cos(angle)))
    walled = (bool(rng.random() < 0.6), bool(rng.random() < 0.6))
    return Plan((Band(-half, half, surface, "walk"),), (), (-half, half), walled, None, tuple(lawns), _beyond(rng))


def _beyond(rng: np.random.Generator) -> str:
    return str(rng.choice(["grass", "gravel", "asphalt"], p=[0.6, 0.2, 0.2]))
