"""What later frames show of earlier ids: that a new track goes on where a hidden one was lost.

A track that begins near the place where a hidden one is expected, at its size, and nearer to it than to any other, may
be the same object, although it overlapped it too little to be matched. That is told once the new track has been seen
for a while and the hidden one has not been found again. What is told is meant to be right, so that counts can be
corrected by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from trackers.kalman import VALUE
from trackers.tracks import TrackTable
from trackers.types import Amendment, FloatArray, IntArray

DECIDED_S = 0.5  # after the birth of the new track
FEWEST_HITS = 4  # of the new track by then
FEWEST_LOST_HITS = 3  # of the hidden one: its velocity is known
# Standard deviations: of the distance in sizes of the box, at once and per second hidden, and of the log of the sides.
PLACE_SIZES, PLACE_SIZES_PER_S = 0.4, 1.0
WIDTH, HEIGHT = 0.8, 0.5
LARGEST_COST = 0.7
CLEARER_BY = 1.0  # than any other pair of either track


class Claim(NamedTuple):
    """A track that may go on as another: serials of both, id of the `lost` one, the cost, the age in periods."""

    lost: int
    lost_id: int
    heir: int
    cost: float
    age: float


@dataclass(slots=True)
class Claims:
    """The claims that are not decided yet, in order; `frame_rate` in Hz."""

    frame_rate: float
    open: list[Claim] = field(default_factory=list)

    def follow(self, table: TrackTable, begun: int, elapsed: float) -> tuple[Amendment, ...]:
        """Return what a frame shows, `elapsed` nominal periods after the last one; the last `begun` tracks are new."""
        if not (self.open or begun):
            return ()
        rows = dict(zip(table.serials.tolist(), range(len(table)), strict=True))
        aged = [claim._replace(age=claim.age + elapsed) for claim in self.open]
        self.open = [claim for claim in aged if _holds(claim, table, rows)]
        due = [claim for claim in self.open if claim.age >= DECIDED_S * self.frame_rate]
        self.open = [claim for claim in self.open if claim not in due]
        if begun:
            self._add(table, begun)
        return tuple(
            Amendment("same", (claim.lost_id, int(table.ids[rows[claim.heir]])))
            for claim in due
            if table.hits[rows[claim.heir]] >= FEWEST_HITS
        )

    def _add(self, table: TrackTable, begun: int) -> None:
        """Add the claims of the last `begun` tracks to those that are hidden."""
        new = np.arange(len(table) - begun, len(table))
        lost = (table.confirmed & ~table.matched & (table.hits >= FEWEST_LOST_HITS)).nonzero()[0]
        cost = _costs(table, lost, new, self.frame_rate)
        for row, column in zip(*(cost <= LARGEST_COST).nonzero(), strict=True):
            least = cost[row, column] + CLEARER_BY
            rivals = np.count_nonzero(cost[row] < least) + np.count_nonzero(cost[:, column] < least)
            if rivals == 2:  # the pair itself, twice
                serial, lost_id = int(table.serials[lost[row]]), int(table.ids[lost[row]])
                self._claim(Claim(serial, lost_id, int(table.serials[new[column]]), float(cost[row, column]), 0.0))

    def _claim(self, claim: Claim) -> None:
        """Add a claim, unless another to the same track is about as good; the worse one goes."""
        others = [other for other in self.open if other.lost == claim.lost]
        self.open = [other for other in self.open if other.lost != claim.lost or other.cost + CLEARER_BY <= claim.cost]
        if all(claim.cost + CLEARER_BY <= other.cost for other in others):
            self.open.append(claim)

    def state(self) -> FloatArray:
        """Return the state (K, 5) for `restored`."""
        return np.array(self.open, np.float64).reshape(-1, len(Claim._fields))

    @classmethod
    def restored(cls, frame_rate: float, state: FloatArray | IntArray) -> Claims:
        """Return the claims that returned `state`; raises ValueError for what none return."""
        if state.ndim != 2 or state.shape[1] != len(Claim._fields) or not (np.isfinite(state) & (state >= 0)).all():
            raise ValueError("expected the state of a tracker, found claims that no tracker leaves")
        return cls(frame_rate, [*map(_restored, state.tolist())])


def _restored(row: Iterable[float]) -> Claim:
    lost, lost_id, heir, cost, age = row
    return Claim(int(lost), int(lost_id), int(heir), cost, age)


def _holds(claim: Claim, table: TrackTable, rows: Mapping[int, int]) -> bool:
    """Return whether the new track still exists, and the lost one has not been found again."""
    lost = rows.get(claim.lost)
    return claim.heir in rows and (lost is None or bool(table.detections[lost] < 0))


def _costs(table: TrackTable, lost: IntArray, new: IntArray, frame_rate: float) -> FloatArray:
    """Return how far each of the tracks `lost` (N,) is from going on as each of `new` (M,), (N, M)."""
    before, after = table.states[lost, VALUE][:, None], table.states[new, VALUE]
    sides = np.maximum(before[..., 2:], 1)
    deviation = PLACE_SIZES + PLACE_SIZES_PER_S * table.unseen[lost, None] / frame_rate
    # c = |x - x'|^2 / (w h s^2) + (ln w / w')^2 / s_w^2 + (ln h / h')^2 / s_h^2
    distance = ((after - before)[..., :2] ** 2).sum(axis=2) / (sides.prod(axis=2) * deviation**2)
    growth = np.log(np.maximum(after[..., 2:], 1) / sides) / [WIDTH, HEIGHT]
    alike = table.class_ids[lost, None] == table.class_ids[new]
    return np.where(alike, distance + (growth**2).sum(axis=2), np.inf)
