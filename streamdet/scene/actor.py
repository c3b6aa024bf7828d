"""Who moves along which path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streamdet.scene.figure import Figure
from streamdet.scene.path import Path

# Figures that belong together, a cycle and its rider or a group, with their paths; nobody, when it is empty.
Cast = list[tuple[Figure, Path]]
# From a place in sight, x and y in m, and a time in s: who passes there then.
Draw = Callable[[float, float, float], Cast]


@dataclass(frozen=True, slots=True)
class Actor:
    """One object of the ground truth: its identity, look and path."""

    id: int
    figure: Figure
    path: Path
