"""What any actor looks like."""

from __future__ import annotations

from typing import Protocol

from streamdet.scene.camera import Camera
from streamdet.scene.light import Light
from streamdet.scene.moment import Moment
from streamdet.scene.sprite import Polygon
from streamdet.types import Float64Array


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

    def shadow(self, light: Light, moment: Moment) -> list[Float64Array]:
        """Return the shadows on the ground, outlines (N, 3) in m."""

    def contact(self, moment: Moment) -> list[Float64Array]:
        """Return the ground darkened right below, outlines (N, 3) in m."""
