"""Who and what moves, and who stands before whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamdet.scene.camera import Camera, FloatArray
from streamdet.scene.light import Light
from streamdet.scene.motion import Moment, Path
from streamdet.scene.sprite import Polygon


class Figure(Protocol):
    """What an actor looks like."""

    @property
    def class_id(self) -> int:
        """0 person, 1 bicycle, 2 car, 3 motorcycle, 4 bus, 5 truck."""

    @property
    def half_size(self) -> tuple[float, float]:
        """Half of its length and of its width on the ground, in m."""

    def polygons(self, camera: Camera, light: Light, moment: Moment) -> list[Polygon]:
        """Return what `camera` sees at `moment`."""

    def shadow(self, light: Light, moment: Moment) -> list[FloatArray]:
        """Return the shadows on the ground, outlines (N, 3) in m."""

    def contact(self, moment: Moment) -> list[FloatArray]:
        """Return the ground darkened right below, outlines (N, 3) in m."""


@dataclass(frozen=True, slots=True)
class Actor:
    """One object of the ground truth: its identity, look and path."""

    id: int
    figure: Figure
    path: Path


def footprint(figure: Figure, moment: Moment) -> tuple[float, float, float, float]:
    """Return the rectangle (x1, y1, x2, y2) in m along the axes that holds `figure` at `moment`."""
    length, width = figure.half_size
    cos, sin = abs(np.cos(moment.heading)), abs(np.sin(moment.heading))
    reach_x, reach_y = length * cos + width * sin, length * sin + width * cos
    x, y = moment.origin[:2]
    return x - reach_x, y - reach_y, x + reach_x, y + reach_y


def may_hide(eye: FloatArray, front: FloatArray, behind: FloatArray) -> npt.NDArray[np.bool_]:
    """Return (N, M) whether each of the rectangles `front` (N, 4) may hide each of `behind` (M, 4) from `eye` (x, y).

    A plane x = c or y = c between two with the eye on the side of one proves that the other does not hide it.
    """
    front, behind = front[:, None], behind[None]
    beyond = np.zeros(np.broadcast_shapes(front.shape, behind.shape)[:2], bool)
    for axis in (0, 1):
        beyond |= (front[..., axis] >= behind[..., axis + 2]) & (eye[axis] <= front[..., axis])
        beyond |= (front[..., axis + 2] <= behind[..., axis]) & (eye[axis] >= front[..., axis + 2])
    return ~beyond


def paint_order(eye: FloatArray, rectangles: FloatArray, distances: FloatArray) -> Sequence[int]:
    """Return the order from back to front of `rectangles` (N, 4) m seen from `eye`; doubts go by `distances` (N,) m."""
    hides = may_hide(eye, rectangles, rectangles)
    # Of two that may hide each other, overlapping ones, none has to wait for the other.
    waits = hides & ~hides.T
    waiting = waits.sum(axis=1)
    left = np.ones(len(rectangles), bool)
    order = []
    for _ in range(len(rectangles)):
        free = left & (waiting == 0)
        among = np.flatnonzero(free if free.any() else left)
        chosen = int(among[np.argmax(distances[among])])
        order.append(chosen)
        left[chosen] = False
        waiting -= waits[:, chosen]
    return order
