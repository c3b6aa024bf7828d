"""What later frames show of earlier ids: that a new track goes on where a hidden one was lost.

A track that begins near the place where a hidden one is expected, and as high, may be the same object, although it
overlapped it too little to be matched. That is told once the new track has been seen for a while, so that its velocity
is known, and the hidden one has not been found again: if the object can have moved from one to the other without a
sharp turn, and no other pair of either fits nearly as well. What is told is meant to be right, so that counts can be
corrected by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from trackers.states import SPEED, VALUE
from trackers.tracks import TrackTable
from trackers.types import Amendment, BoolArray, FloatArray, IntArray

DECIDED_S = 0.5  # after the birth of the new track
REMEMBERED_S = 2.0  # after it: for as long another one may begin that goes on as the same hidden track
FEWEST_HITS = 4  # of the new track when it is decided
FEWEST_LOST_HITS = 3  # of the hidden one: its velocity is known
FARTHEST_SIZES = 2.5  # from where the hidden one was expected, of the root of its area
# Standard deviations: of the place in sizes, at once and per second hidden, of the speed in sizes per second, and of
# the log of the sides. Widths change as objects turn, and at the border of the image.
PLACE_SIZES, PLACE_SIZES_PER_S, SPEED_SIZES_PER_S = 0.3, 0.2, 1.5
WIDTH, HEIGHT = 1.2, 0.25
LARGEST_COST = 3.0
CLEARER_BY = 2.0  # than any other pair of either track
# The columns of a claim, that a track goes on as another: serial of the lost track, its id, serial of the new one; the
# age of the claim in periods, and whether it was told; how long the lost one had been hidden in s, its size in px and
# the cost of the change of its sides; where the new one began beside where the lost one was expected, in sizes, and
# the speed of the lost one in sizes per s.
LOST, LOST_ID, HEIR, AGE, TOLD, HIDDEN_S, SIZE_PX, GROWTH = range(8)
BESIDE, LOST_SPEED = slice(8, 10), slice(10, 12)
COLUMNS = 12


@dataclass(slots=True)
class Claims:
    """The claims (K, 12) that may be decided or are rivals of those; `frame_rate` in Hz.

    `motion_rate_hz` is the number of periods per second that the velocities of states refer to.
    """

    frame_rate: float
    motion_rate_hz: float
    open: FloatArray = field(default_factory=lambda: np.zeros((0, COLUMNS)))

    def follow(self, table: TrackTable, begun: int, elapsed: float) -> tuple[Amendment, ...]:
        """Return what a frame shows, `elapsed` nominal periods after the last one; the last `begun` tracks are new."""
        told: tuple[Amendment, ...] = ()
        if not len(table):
            self.open = self.open[:0]  # all tracks have ended
        if len(self.open):
            told = self._decided(table, elapsed)
        if begun:
            self._add(table, begun)
        return told

    def _decided(self, table: TrackTable, elapsed: float) -> tuple[Amendment, ...]:
        """Return what the claims that are due show, and remove those that do not hold."""
        self.open[:, AGE] += elapsed
        rows, exists = _rows(table, self.open[:, HEIR])
        lost, hidden = _rows(table, self.open[:, LOST])
        found_again = hidden & table.matched[lost]
        kept = exists & ~found_again & (self.open[:, AGE] <= REMEMBERED_S * self.frame_rate)
        self.open, rows = self.open[kept], rows[kept]
        due_at = DECIDED_S * self.frame_rate
        due = (self.open[:, AGE] >= due_at) & (self.open[:, AGE] - elapsed < due_at)
        if not due.any():
            return ()
        shown = (due & (table.hits[rows] >= FEWEST_HITS) & self._clear(table, rows)).nonzero()[0]
        lost_ids, ids = self.open[shown, LOST_ID].astype(np.int64), table.ids[rows[shown]]
        self.open[shown, TOLD] = 1
        return tuple(Amendment("same", pair) for pair in zip(lost_ids.tolist(), ids.tolist(), strict=True))

    def _clear(self, table: TrackTable, rows: IntArray) -> BoolArray:
        """Return which claims (K,) fit well, and better than all others of either track; `rows` (K,) are new tracks."""
        hidden_s, sizes = self.open[:, HIDDEN_S], self.open[:, SIZE_PX]
        speed = table.states[rows, SPEED, :2] * self.motion_rate_hz / sizes[:, None]
        turn = speed - self.open[:, LOST_SPEED]
        # Each speed holds for half of the time t: d = x' - x - t / 2 (v' - v),  c = d^2 / s^2 + (v' - v)^2 / r^2 + g
        beside = self.open[:, BESIDE] - hidden_s[:, None] / 2 * turn
        place = (beside**2).sum(axis=1) / (PLACE_SIZES + PLACE_SIZES_PER_S * hidden_s) ** 2
        cost = place + (turn**2).sum(axis=1) / SPEED_SIZES_PER_S**2 + self.open[:, GROWTH]
        cost[self.open[:, TOLD] > 0] = 0  # nothing is clearer
        shared = [self.open[:, column, None] == self.open[:, column] for column in (LOST, HEIR)]
        rivals = (shared[0] | shared[1]) & (cost < cost[:, None] + CLEARER_BY)
        clear: BoolArray = (cost <= LARGEST_COST) & (rivals.sum(axis=1) == 1)  # itself
        return clear

    def _add(self, table: TrackTable, begun: int) -> None:
        """Add the claims of the last `begun` tracks to those that are hidden."""
        new = np.arange(len(table) - begun, len(table))
        lost = (table.confirmed & ~table.matched & (table.hits >= FEWEST_LOST_HITS)).nonzero()[0]
        if not len(lost):
            return
        before, after = table.states[lost, VALUE], table.states[new, VALUE]
        sizes = np.sqrt(np.maximum(before[:, 2:], 1).prod(axis=1))
        beside = (after[:, :2] - before[:, None, :2]) / sizes[:, None, None]
        growth = np.log(np.maximum(after[:, 2:], 1) / np.maximum(before[:, None, 2:], 1)) / [WIDTH, HEIGHT]
        growth = (growth**2).sum(axis=2)
        alike = table.class_ids[lost, None] == table.class_ids[new]
        near = (beside**2).sum(axis=2) <= FARTHEST_SIZES**2
        row, column = (alike & near & (growth < LARGEST_COST + CLEARER_BY)).nonzero()
        speed = table.states[lost, SPEED, :2] * self.motion_rate_hz / sizes[:, None]
        claims = np.column_stack(
            [
                *(table.serials[lost[row]], table.ids[lost[row]], table.serials[new[column]]),
                *np.zeros((2, len(row))),
                *(table.unseen[lost[row]] / self.frame_rate, sizes[row], growth[row, column]),
                *(beside[row, column], speed[row]),
            ]
        )
        self.open = np.concatenate([self.open, claims])

    def state(self) -> FloatArray:
        """Return the state (K, 12) for `restored`."""
        return self.open.copy()

    def restored(self, state: FloatArray | IntArray) -> Claims:
        """Return the claims that returned `state`; raises ValueError for what none return."""
        fits = state.ndim == 2 and state.shape[1] == COLUMNS and np.isfinite(state).all()
        if not fits or (state[:, : BESIDE.start] < 0).any() or (state[:, SIZE_PX] < 1).any():
            raise ValueError("expected the state of a tracker, found claims that no tracker leaves")
        return replace(self, open=np.array(state, np.float64))


def _rows(table: TrackTable, serials: FloatArray) -> tuple[IntArray, BoolArray]:
    """Return the rows (K,) of the tracks `serials` (K,) in `table`, which has tracks, and which of them are there."""
    rows = np.minimum(np.searchsorted(table.serials, serials), len(table) - 1)
    return rows, table.serials[rows] == serials
