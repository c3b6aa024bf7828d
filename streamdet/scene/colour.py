"""Colours that differ from thing to thing."""

from __future__ import annotations

import numpy as np

from streamdet.types import Float64Array


def pick(
    rng: np.random.Generator, colours: tuple[tuple[float, float, float], ...], spread: float = 0.05
) -> Float64Array:
    """Return one of `colours` (RGB, 0 to 1), varied by `spread` in brightness and a third of that in hue."""
    colour = np.array(colours[rng.integers(len(colours))])
    factors = 1 + spread * rng.standard_normal() + spread / 3 * rng.standard_normal(3)
    varied: Float64Array = (colour * factors + 0.01 * rng.standard_normal()).clip(0.01, 1)
    return varied
