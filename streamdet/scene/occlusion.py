"""Who stands before whom: the painter's order, found by planes that separate two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamdet.scene.figure import Figure
from streamdet.scene.moment import Moment
from streamdet.types import Float64Array


def footprint(figure: Figure, moment: Moment) -> tuple[float, float, float, float]:
    """Return the rectangle (x1, y1, x2, y2) in m along the axes that holds `figure` at `moment`."""
    length, width = figure.half_size
    cos, sin = abs(np.cos(moment.heading)), abs(np.sin(moment.heading))
    reach_x, reach_y = length * cos + width * sin, length * sin + width * cos
    x, y = moment.origin[:2]
    return x - reach_x, y - reach_y, x + reach_x, y + reach_y


def may_hide(eye: Float64Array, front: Float64Array, behind: Float64Array) -> npt.NDArray[np.bool_]:
    """Return (N, M) whether each of the rectangles `front` (N, 4) may hide each of `behind` (M, 4) from `eye` (x, y).

    A plane x = c or y = c between two with the eye on the side of one proves that the other does not hide it.
    """
    front, behind = front[:, None], behind[None]
    beyond = np.zeros(np.broadcast_shapes(front.shape, behind.shape)[:2], bool)
    for axis in (0, 1):
        beyond |= (front[..., axis] >= behind[..., axis + 2]) & (eye[axis] <= front[..., axis])
        beyond |= (front[..., axis + 2] <= behind[..., axis]) & (eye[axis] >= front[..., axis + 2])
    return ~beyond


def paint_order(eye: Float64Array, rectangles: Float64Array, distances: Float64Array) -> Sequence[int]:
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
