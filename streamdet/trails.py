"""Trails: the recent positions of each track."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Self

import numpy as np

from streamdet.types import Arrays, Float32Array, Tracks, state_array

Trail = Float32Array


class Trails:
    """The ground points of all tracks during the last `length_s` s.

    That of a box is the middle of its lower edge; that of a rotated box, which is mostly seen from above, its centre.
    """

    def __init__(self, length_s: float = 2.0) -> None:
        self._length_s = length_s
        self._points: dict[int, deque[tuple[float, float, float]]] = {}

    def update(self, tracks: Tracks, time_s: float) -> Mapping[int, Trail]:
        """Add the tracks of one frame, and return the points of each as f32 (n, 2) in image px, oldest first."""
        for track_id, (x, y) in zip(tracks.ids.tolist(), _ground_points(tracks), strict=True):
            self._points.setdefault(track_id, deque()).append((time_s, x, y))
        for track_id in list(self._points):
            self._forget_before(time_s - self._length_s, track_id)
        return {i: np.array(self._points[i], np.float32)[:, 1:] for i in tracks.ids.tolist()}

    def shift(self, by_s: float) -> None:
        """Add `by_s` to the times of all points, to continue with another recording whose time starts anew."""
        for track_id, points in self._points.items():
            self._points[track_id] = deque((time_s + by_s, x, y) for time_s, x, y in points)

    def scale(self, x: float, y: float) -> None:
        """Multiply the coordinates of all points, for images of another size."""
        for track_id, points in self._points.items():
            self._points[track_id] = deque((time_s, x * px, y * py) for time_s, px, py in points)

    def state(self) -> Arrays:
        """Return all points: `ids` i64 (P,), their tracks, and `points` f64 (P, 3), time in s, x and y in px."""
        ids = [track_id for track_id, points in self._points.items() for _ in points]
        rows = [row for points in self._points.values() for row in points]
        return {"ids": np.array(ids, np.int64), "points": np.array(rows, np.float64).reshape(-1, 3)}

    @classmethod
    def from_state(cls, state: Arrays) -> Self:
        """Return the trails with this `state`, without points if it is empty; raises ValueError if it is invalid."""
        trails = cls()
        if state:
            ids = state_array(state, "ids", np.int64, (None,))
            rows = state_array(state, "points", np.float64, (len(ids), 3))
            for track_id, (time_s, x, y) in zip(ids.tolist(), rows.tolist(), strict=True):
                trails._points.setdefault(track_id, deque()).append((time_s, x, y))
        return trails

    def _forget_before(self, time_s: float, track_id: int) -> None:
        points = self._points[track_id]
        while points and points[0][0] < time_s:
            points.popleft()
        if not points:
            del self._points[track_id]


def _ground_points(tracks: Tracks) -> list[tuple[float, float]]:
    if tracks.rotated is not None:
        return [(x, y) for x, y in tracks.rotated[:, :2].tolist()]
    return [((x1 + x2) / 2, y2) for x1, _, x2, y2 in tracks.boxes.tolist()]
