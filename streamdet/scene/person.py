"""People on foot, on a seat or on a saddle."""

from __future__ import annotations

import numpy as np

from streamdet.scene.body import dress
from streamdet.scene.camera import Camera
from streamdet.scene.light import Light
from streamdet.scene.moment import Moment
from streamdet.scene.outfit import draw_outfit
from streamdet.scene.pose import HEIGHT_M, Pose, ride, sit, stand, walk
from streamdet.scene.sprite import Polygon
from streamdet.scene.tubes import Tubes
from streamdet.types import Float64Array

PERSON = 0
# A stride, two steps, grows with speed: about 1.4 m at 1.4 m/s, 1.9 m at 3 m/s.
_STRIDE_M, _STRIDE_S = 0.95, 0.32


class Person:
    """Someone with one outfit and one `manner`: "foot", "sit", or a cycle's saddle ("pedal", "motor").

    `speed` in m/s sets the stride of someone on foot; 0 stands.
    """

    class_id = PERSON
    half_size = (0.25, 0.25)

    def __init__(self, rng: np.random.Generator, manner: str, *, cold: bool, speed: float = 0.0) -> None:
        self._manner, self._speed = manner, speed
        self._outfit = draw_outfit(rng, cold=cold, helmet=rng.random() < {"motor": 0.8, "pedal": 0.35}.get(manner, 0))
        child = manner == "foot" and rng.random() < 0.08
        self.height_m = float(rng.uniform(1.0, 1.45) if child else np.clip(rng.normal(1.71, 0.08), 1.5, 1.95))
        self._arms = str(rng.choice(["down", "phone", "pockets", "folded"], p=[0.72, 0.1, 0.12, 0.06]))
        self._phase = rng.random()

    def polygons(self, camera: Camera, light: Light, moment: Moment) -> list[Polygon]:
        """Return what `camera` sees at `moment`."""
        return self._body(moment).polygons(camera, light)

    def shadow(self, light: Light, moment: Moment) -> list[Float64Array]:
        """Return the shadows on the ground, outlines (N, 3) in m."""
        return self._body(moment).shadow(light)

    def contact(self, moment: Moment) -> list[Float64Array]:
        """Return the ground darkened by someone who stands on it, outlines (N, 3) in m."""
        angles = np.linspace(0, 2 * np.pi, 10, endpoint=False)
        return [moment.origin + 0.24 * np.column_stack([np.cos(angles), np.sin(angles), np.zeros(10)])]

    def _body(self, moment: Moment) -> Tubes:
        return dress(self._pose(moment), self._outfit).placed(moment, self.height_m / HEIGHT_M)

    def _pose(self, moment: Moment) -> Pose:
        if self._manner == "sit":
            return sit(0.45)
        if self._manner == "pedal":
            # 4.5 m for each turn of the pedals
            return ride(0.92, (0.55, 0.22, 1.08), (0.2, 0.28), 2 * np.pi * moment.covered_m / 4.5)
        if self._manner == "motor":
            return ride(0.76, (0.55, 0.3, 1.02), (0.2, 0.26), np.nan)
        return self._on_foot(moment)

    def _on_foot(self, moment: Moment) -> Pose:
        if not self._speed:
            return stand(self._arms, float(np.sin(moment.time_s * 0.9 + 7 * self._phase)))
        stride = (_STRIDE_M + _STRIDE_S * self._speed) * self.height_m / HEIGHT_M
        return walk(self._phase + moment.covered_m / stride, stride, self._arms)
