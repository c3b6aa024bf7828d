"""Where there is room: nobody walks through a house, a lamp post or somebody else."""

from __future__ import annotations

import numpy as np

from streamdet.scene.figure import Figure
from streamdet.scene.furniture import Item
from streamdet.scene.path import Path
from streamdet.scene.person import PERSON
from streamdet.scene.plan import Plan
from streamdet.types import Float64Array

# Paths are compared at every so many steps first.
_STRIDE = 5
_TO_HOUSE_M, _TO_ITEM_M = 0.3, 0.2


class Room:
    """What is taken on the ground of `plan`, by `items` and by figures on their paths."""

    def __init__(self, plan: Plan, items: list[Item]) -> None:
        self._plan, self._items = plan, items
        self._taken: list[tuple[Figure, Path]] = []
        self._coarse: list[Float64Array] = []
        self._reaches: list[float] = []

    def take(self, figure: Figure, path: Path) -> None:
        """Remember that `figure` moves along `path`."""
        self._taken.append((figure, path))
        self._coarse.append(path.places[::_STRIDE])
        self._reaches.append(_reach(figure, path))

    def is_free(self, figure: Figure, path: Path) -> bool:
        """Return whether `figure` on `path` touches neither house nor item nor what is taken."""
        low, high = self._plan.between_walls(_TO_HOUSE_M)
        if path.places[:, 1].min() <= low or path.places[:, 1].max() >= high:
            return False
        if figure.class_id == PERSON and not all(_clear_of(path, item) for item in self._items):
            return False
        return all(_apart(figure, path, *other) for other in self._near(figure, path))

    def _near(self, figure: Figure, path: Path) -> list[tuple[Figure, Path]]:
        """Return those that may touch `figure`, judged by their places now and then and their greatest speeds."""
        if not self._taken:
            return []
        gaps = np.linalg.norm(np.array(self._coarse) - path.places[::_STRIDE], axis=2).min(axis=1)
        rows = np.flatnonzero(gaps < np.array(self._reaches) + _reach(figure, path))
        return [self._taken[row] for row in rows.tolist()]


def _reach(figure: Figure, path: Path) -> float:
    """Return how far in m the end of `figure` is at most from the nearest of every `_STRIDE`-th place of `path`."""
    return figure.half_size[0] + float(np.diff(path.covered).max()) * (_STRIDE // 2 + 1)


def _clear_of(path: Path, item: Item) -> bool:
    """Return whether `path` leaves `item` alone; who never moves may sit on a bench."""
    away = np.abs(path.places - np.array(item.place)) - np.array(item.half_size)
    return bool((away.max(axis=1) > _TO_ITEM_M).all()) or (item.is_bench and not path.covered[-1])


def _apart(figure: Figure, path: Path, other: Figure, other_path: Path) -> bool:
    """Return whether the rectangles of two never touch, as far as the axes of one of them tell at every step."""
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
