"""Where each track has been during the last seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from streamdet.types import Float32Array, Tracks

Trail = Float32Array


class Trails:
    """Remembers the ground points (bottom centre of the box) of every visible track for `length_s` seconds."""

    def __init__(self, length_s: float = 2.0) -> None:
        self._length_s = length_s
        self._points: dict[int, deque[tuple[float, float, float]]] = {}

    def update(self, tracks: Tracks, time_s: float) -> Mapping[int, Trail]:
        """Add one frame; returns for each track of it the points f32 (n, 2) in image px, oldest first."""
        for track_id, (x1, _, x2, y2) in zip(tracks.ids.tolist(), tracks.boxes.tolist(), strict=True):
            self._points.setdefault(track_id, deque()).append((time_s, (x1 + x2) / 2, y2))
        for track_id in list(self._points):
            self._forget_before(time_s - self._length_s, track_id)
        return {i: np.array(self._points[i], np.float32)[:, 1:] for i in tracks.ids.tolist()}

    def _forget_before(self, time_s: float, track_id: int) -> None:
        points = self._points[track_id]
        while points and points[0][0] < time_s:
            points.popleft()
        if not points:
            del self._points[track_id]
