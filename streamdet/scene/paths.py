"""Movement: paths as functions of time, so that frames can be rendered in any order, and the space between paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamdet.scene.figures import Figure, Placement
from streamdet.scene.furniture import Item
from streamdet.scene.plan import Plan
from streamdet.scene.truth import PERSON
from streamdet.types import Float64Array

STEP_S = 0.1
# The least distance of a path to houses, and of a person to furniture.
_TO_HOUSE_M, _TO_ITEM_M = 0.3, 0.2
# Paths are first compared at every so many steps.
_STRIDE = 5


@dataclass(frozen=True, slots=True)
class Path:
    """Places (N, 2) m, headings (N,) rad and metres covered (N,), one every STEP_S from the start of the scene."""

    places: Float64Array
    headings: Float64Array
    covered: Float64Array

    def at(self, time_s: float) -> Placement:
        """Return the placement at `time_s`, interpolated between two steps."""
        step = min(max(time_s / STEP_S, 0.0), len(self.covered) - 1.001)
        before = int(step)
        share = step - before
        x, y = self.places[before] * (1 - share) + self.places[before + 1] * share
        heading = self.headings[before] * (1 - share) + self.headings[before + 1] * share
        covered = self.covered[before] * (1 - share) + self.covered[before + 1] * share
        return Placement(np.array([x, y, 0.0]), float(heading), float(covered), time_s)

    def within(self, low: float, high: float) -> Path:
        """Return this path reflected at the walls y = `low` and y = `high`; an infinite one is no wall."""
        y, back = self.places[:, 1], np.zeros(len(self.places), bool)
        if np.isfinite(low) and np.isfinite(high):
            # Between two walls, y repeats after the way there and back.
            over = (y - low) % (2 * (high - low))
            back = over > high - low
            y = low + np.where(back, 2 * (high - low) - over, over)
        elif np.isfinite(low) or np.isfinite(high):
            back = y < low if np.isfinite(low) else y > high
            y = np.where(back, 2 * (low if np.isfinite(low) else high) - y, y)
        places = np.column_stack([self.places[:, 0], y])
        return Path(places, np.where(back, -self.headings, self.headings), self.covered)

    def shifted(self, along: float, aside: float) -> Path:
        """Return the path that keeps `along` m ahead and `aside` m to the left of this one."""
        cos, sin = np.cos(self.headings), np.sin(self.headings)
        offset = np.column_stack([along * cos - aside * sin, along * sin + aside * cos])
        return Path(self.places + offset, self.headings, self.covered)


def steps(seconds: float) -> int:
    """Return the number of steps of a path that lasts `seconds`."""
    return int(np.ceil(seconds / STEP_S)) + 2


def through(place: tuple[float, float], time_s: float, headings: Float64Array, speeds: Float64Array) -> Path:
    """Return the path with `headings` rad and `speeds` m/s (N,) at its steps that passes `place` at `time_s`."""
    velocity = speeds[:, None] * np.column_stack([np.cos(headings), np.sin(headings)])
    places = np.cumsum(velocity, axis=0) * STEP_S
    covered = np.cumsum(speeds) * STEP_S
    places += np.array(place) - places[min(round(time_s / STEP_S), len(places) - 1)]
    return Path(places, headings, covered)


def standing(place: tuple[float, float], heading: float, count: int) -> Path:
    """Return a path of `count` steps that stays at `place`."""
    return through(place, 0.0, np.full(count, heading), np.zeros(count))


def wander(
    rng: np.random.Generator, heading: float, speed: float, count: int, turning: float
) -> tuple[Float64Array, Float64Array]:
    """Return `count` headings in rad and speeds in m/s: slow turns of about `turning` rad, and perhaps a pause."""
    time = np.arange(count) * STEP_S
    slow, slower = rng.uniform(0.04, 0.12, 2)
    phases = rng.uniform(0, 2 * np.pi, 2)
    turns = np.sin(2 * np.pi * slow * time + phases[0]) + np.sin(2 * np.pi * slower * time + phases[1])
    speeds = np.full(count, speed) * (1 + 0.05 * np.sin(2 * np.pi * slower * time))
    if rng.random() < 0.12:
        # A stop within a second, a pause and a new start.
        start, length = rng.uniform(0, time[-1]), rng.uniform(1.5, 5)
        speeds *= np.clip(np.abs(time - start - length / 2) - length / 2, 0, 1)
    return heading + turning * turns / 2, speeds


# Figures that belong together, such as a cycle and its rider or a group, with their paths; may be empty.
Cast = list[tuple[Figure, Path]]
# From a place, x and y in m, and a time in s: the figures that pass there at that time.
DrawActor = Callable[[float, float, float], Cast]


@dataclass(frozen=True, slots=True)
class Actor:
    """One object of the ground truth: its identity from 1, its look and its path."""

    id: int
    figure: Figure
    path: Path


class Room:
    """The occupied ground of a scene: houses of `plan`, `items`, and figures on their paths."""

    def __init__(self, plan: Plan, items: list[Item]) -> None:
        self._plan, self._items = plan, items
        self._taken: list[tuple[Figure, Path]] = []
        self._coarse: list[Float64Array] = []
        self._reaches: list[float] = []

    def take(self, figure: Figure, path: Path) -> None:
        """Mark the ground that `figure` on `path` needs as taken."""
        self._taken.append((figure, path))
        self._coarse.append(path.places[::_STRIDE])
        self._reaches.append(_reach(figure, path))

    def is_free(self, figure: Figure, path: Path) -> bool:
        """Return whether `figure` on `path` touches no house, no item and no figure taken before."""
        low, high = self._plan.between_walls(_TO_HOUSE_M)
        if path.places[:, 1].min() <= low or path.places[:, 1].max() >= high:
            return False
        if figure.class_id == PERSON and not all(_keeps_clear(path, item) for item in self._items):
            return False
        return all(_apart(figure, path, *other) for other in self._near(figure, path))

    def _near(self, figure: Figure, path: Path) -> list[tuple[Figure, Path]]:
        """Return the taken figures that may touch `figure`, judged by coarse paths and greatest speeds."""
        if not self._taken:
            return []
        gaps = np.linalg.norm(np.array(self._coarse) - path.places[::_STRIDE], axis=2).min(axis=1)
        rows = np.flatnonzero(gaps < np.array(self._reaches) + _reach(figure, path))
        return [self._taken[row] for row in rows.tolist()]


def _reach(figure: Figure, path: Path) -> float:
    """Return the greatest distance in m from the end of `figure` to the nearest place of its coarse path."""
    return figure.half_size[0] + float(np.diff(path.covered).max()) * (_STRIDE // 2 + 1)


def _keeps_clear(path: Path, item: Item) -> bool:
    """Return whether `path` keeps clear of `item`; a person who never moves may sit on a bench."""
    away = np.abs(path.places - np.array(item.place)) - np.array(item.half_size)
    return bool((away.max(axis=1) > _TO_ITEM_M).all()) or (item.is_bench and not path.covered[-1])


def _apart(figure: Figure, path: Path, other: Figure, other_path: Path) -> bool:
    """Return whether two rectangles never touch, as far as the axes of either one can prove it at every step."""
    offset = other_path.places - path.places
    for towards, mine, theirs in ((path, figure, other), (other_path, other, figure)):
        cos, sin = np.cos(towards.headings), np.sin(towards.headings)
        along = np.abs(offset[:, 0] * cos + offset[:, 1] * sin)
        aside = np.abs(offset[:, 1] * cos - offset[:, 0] * sin)
        parallel = np.abs(np.cos(path.headings - other_path.headings))
        length = theirs.half_size[0] * parallel + theirs.half_size[1] * (1 - parallel)
        width = theirs.half_size[1] * parallel + theirs.half_size[0] * (1 - parallel)
        touching = (along < mine.half_size[0] + length) & (aside < mine.half_size[1] + width)
        if not touching.any():
            return True
    return False
