"""How the picture moves when the camera does: panning, shaking in the wind, held in a hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamdet.types import Float64Array


@dataclass(frozen=True, slots=True)
class Manner:
    """A way to move: `reach_x` and `reach_y` as shares of the picture's width, `roll` in rad, `zoom`, `rates` in Hz."""

    reach_x: float
    reach_y: float
    roll: float
    zoom: float
    rates: tuple[float, float]


MANNERS = {
    "fixed": Manner(0, 0, 0, 0, (1, 1)),
    "pan": Manner(0.10, 0.004, 0, 0, (0.03, 0.08)),
    "shake": Manner(0.003, 0.003, 0.0015, 0, (2, 7)),
    "handheld": Manner(0.018, 0.014, 0.01, 0.01, (0.15, 1.1)),
}


class Sway:
    """The movement of one camera: a sum of three sines for each of shift, roll and zoom."""

    def __init__(self, manner: Manner, image_size: tuple[int, int], rng: np.random.Generator) -> None:
        width, height = image_size
        self._amplitudes = np.array([manner.reach_x * width, manner.reach_y * width, manner.roll, manner.zoom])
        self._rates = rng.uniform(*manner.rates, (4, 3))
        self._phases = rng.uniform(0, 2 * np.pi, (4, 3))
        self._image_size = np.array([width, height])
        # The corners move by the shift, by the roll's arc and by the zoom.
        reach = self._amplitudes[:2] + np.array([height, width]) / 2 * manner.roll + self._image_size / 2 * manner.zoom
        self.margin = np.where(reach > 0, np.ceil(reach) + 2, 0).astype(int)

    @property
    def canvas_size(self) -> tuple[int, int]:
        """Width and height in px that hold the picture wherever it moves."""
        width, height = self._image_size + 2 * self.margin
        return int(width), int(height)

    def to_image(self, time_s: float) -> Float64Array:
        """Return the similarity (2, 3) from px of the canvas to px of the image at `time_s`."""
        sines = np.sin(2 * np.pi * self._rates * time_s + self._phases).mean(axis=1)
        shift_x, shift_y, roll, zoom = self._amplitudes * sines
        cos, sin = (1 + zoom) * np.cos(roll), (1 + zoom) * np.sin(roll)
        turn = np.array([[cos, -sin], [sin, cos]])
        # image = turn (canvas - canvas centre) + image centre + shift
        centre = self._image_size / 2
        offset = centre + np.array([shift_x, shift_y]) - turn @ (centre + self.margin)
        return np.column_stack([turn, offset])
