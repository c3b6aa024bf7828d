"""Where something is at one time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamdet.scene.view.camera import FloatArray


class Moment(NamedTuple):
    """Where something is: `origin` (3,) m on the ground, `heading` rad, metres covered so far, and the time in s."""

    origin: FloatArray
    heading: float
    covered_m: float
    time_s: float

    def in_world(self, places: FloatArray) -> FloatArray:
        """Return `places` (N, 3) m, given as (forward, left, up) of the origin, in the world."""
        world: FloatArray = places @ turned(self.heading) + self.origin
        return world


def turned(heading: float) -> FloatArray:
    """Return the matrix (3, 3) that turns rows (forward, left, up) to `heading` rad in the world."""
    cos, sin = np.cos(heading), np.sin(heading)
    return np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
