"""Where something is at one time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamdet.types import Float64Array


class Moment(NamedTuple):
    """Where something is: `origin` (3,) m on the ground, `heading` rad, metres covered so far, and the time in s."""

    origin: Float64Array
    heading: float
    covered_m: float
    time_s: float

    def in_world(self, places: Float64Array) -> Float64Array:
        """Return `places` (N, 3) m, given as (forward, left, up) of the origin, in the world."""
        world: Float64Array = places @ turned(self.heading) + self.origin
        return world


def turned(heading: float) -> Float64Array:
    """Return the matrix (3, 3) that turns rows (forward, left, up) to `heading` rad in the world."""
    cos, sin = np.cos(heading), np.sin(heading)
    return np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
