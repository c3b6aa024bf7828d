"""Tracks that remember what was observed of them, and what was thought of them when it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from trackers.kalman import States
from trackers.tracks import COLUMNS, TrackTable
from trackers.types import FloatArray, IntArray, Observations, unit

AGE = 4


@dataclass
class ObservedTable(TrackTable):
    """The columns of `TrackTable` and two more, both in the present image.

    `observed` f64 (N, K, 5): the last K boxes x1, y1, x2, y2 in px that detections gave, and how many nominal frame
    periods ago; the newest comes first, the oldest is repeated while there are fewer. `seen_states` f64 (N, 5, 4): the
    estimate at the time of the newest, see `trackers.kalman`.
    """

    columns: ClassVar[tuple[str, ...]] = (*COLUMNS, "observed", "seen_states")

    observed: FloatArray = field(default_factory=lambda: np.zeros((0, 2, 5)))
    seen_states: States = field(default_factory=lambda: np.zeros((0, 5, 4)))

    @property
    def last_boxes(self) -> FloatArray:
        """The newest observation (N, 4)."""
        return self.observed[:, 0, :AGE]

    def directions(self, span: float) -> FloatArray:
        """Return where tracks headed, of unit length (N, 2): to the newest observation from one `span` periods older.

        Without one so old it is the oldest that counts; zero stands for unknown. Time is exact to half a period.
        """
        older = self.observed[:, :, AGE] - self.observed[:, :1, AGE]
        before = np.clip((older < span - 0.5).sum(axis=1), 1, self.observed.shape[1] - 1)
        past = self.observed[np.arange(len(self)), before, :AGE]
        return unit(centres(self.last_boxes) - centres(past))

    def age(self, elapsed: float) -> None:
        """Begin a frame `elapsed` nominal periods later."""
        TrackTable.age(self, elapsed)
        self.observed[:, :, AGE] += elapsed

    def warp(self, affine: FloatArray) -> None:
        """Take the observations to the image that `affine` (2, 3) leads to: centres move, sizes are scaled only."""
        boxes = self.observed[:, :, :AGE]
        half = (boxes[..., 2:] - boxes[..., :2]) / 2 * np.sqrt(abs(np.linalg.det(affine[:, :2])))
        centre = centres(boxes) @ affine[:, :2].T + affine[:, 2]
        self.observed[:, :, :AGE] = np.concatenate([centre - half, centre + half], axis=2)

    def support(self, rows: IntArray, found: Observations, index: IntArray, states: States) -> None:
        """Let detections support tracks, as `TrackTable` does, and remember them."""
        TrackTable.support(self, rows, found, index, states)
        self.seen_states[rows] = states
        self.observed[rows, 1:] = self.observed[rows, :-1]
        self.observed[rows, 0, :AGE] = found.boxes[index]
        self.observed[rows, 0, AGE] = 0
        first = rows[self.hits[rows] == 1]
        self.observed[first, 1:] = self.observed[first, :1]


def centres(boxes: FloatArray) -> FloatArray:
    """Return the centres (..., 2) of `boxes` (..., 4) x1, y1, x2, y2."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2
