"""Where the camera of a street stands."""

from __future__ import annotations

import numpy as np

from streamdet.scene.camera import Camera
from streamdet.scene.plan import Plan


def draw_camera(rng: np.random.Generator, plan: Plan, canvas_size: tuple[int, int], width_px: int) -> Camera:
    """Return a camera inside `plan` for a canvas of `canvas_size`, whose picture is `width_px` wide.

    At eye level, on a mast or high up; it looks along the street, across it or between the two.
    """
    height, (least_pitch, most_pitch) = _mount(rng)
    right, left = plan.walls
    if plan.square or rng.random() < 0.75:
        # From one side of the street, turned towards the other.
        y = right + rng.uniform(0.3, 0.2 * (left - right))
        yaw = np.deg2rad(rng.uniform(10, 90))
    else:
        y, yaw = rng.uniform(0.6 * right, 0.6 * left), np.deg2rad(rng.uniform(-8, 8))
    if rng.random() < 0.5:
        y, yaw = y + (left + right) - 2 * y, -yaw
    field_of_view = np.deg2rad(rng.uniform(38, 72))
    focal = width_px / 2 / np.tan(field_of_view / 2)
    pitch = np.deg2rad(rng.uniform(least_pitch, most_pitch))
    centre = (canvas_size[0] / 2, canvas_size[1] / 2)
    return Camera((0.0, float(y), float(height)), float(yaw), float(pitch), float(focal), centre)


def _mount(rng: np.random.Generator) -> tuple[float, tuple[float, float]]:
    """Return a height in m and a range of pitch in degrees."""
    kind = rng.choice(["eye", "mast", "high"], p=[0.2, 0.5, 0.3])
    if kind == "eye":
        return rng.uniform(1.6, 2.8), (0, 8)
    if kind == "mast":
        return rng.uniform(3, 6.5), (10, 27)
    return rng.uniform(6.5, 13), (18, 36)
