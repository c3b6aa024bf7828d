"""All tracks of one tracker as a struct of arrays: row i of every column belongs to one track, oldest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from trackers.kalman import States
from trackers.types import BoolArray, FloatArray, IntArray, Observations, Tracks, unit

FEATURE_MEMORY = 0.9  # share of the old appearance that a new one leaves (BoT-SORT, eq. 11)
COLUMNS = ("serials", "ids", "states", "detections", "unseen", "hits", "scores", "votes", "features")


@dataclass(slots=True)
class TrackTable:
    """The columns, N rows each.

    `serials` i64, from 1, number all tracks in order of birth; `ids` i64, 0 while a track is tentative; `states` f64
    (N, 5, 4), see `trackers.kalman`; `detections` i64, the row that supported the track in the last frame, -1 for none;
    `unseen` f64, nominal frame periods since a detection did; `hits` i64, how many did; `scores` f64 of the last;
    `votes` f64 (N, C), the sum of scores for each of the C `labels` met so far; `features` f64 (N, D) of unit length,
    zero while unknown. Ids are issued on confirmation, from 1, never twice.
    """

    columns: ClassVar[tuple[str, ...]] = COLUMNS

    serials: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    ids: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    states: States = field(default_factory=lambda: np.zeros((0, 5, 4)))
    detections: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    unseen: FloatArray = field(default_factory=lambda: np.zeros(0))
    hits: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    scores: FloatArray = field(default_factory=lambda: np.zeros(0))
    votes: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    features: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    labels: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    begun: int = 0
    issued: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def confirmed(self) -> BoolArray:
        """Which rows have an id."""
        return self.ids > 0

    @property
    def matched(self) -> BoolArray:
        """Which rows a detection supported in the last frame."""
        return self.detections >= 0

    @property
    def class_ids(self) -> IntArray:
        """The label (N,) that each track has most votes for."""
        return self.labels[self.votes.argmax(axis=1)] if len(self) else np.zeros(0, np.int64)

    @property
    def known(self) -> BoolArray:
        """Which tracks (N,) have an appearance."""
        return np.asarray(self.features.any(axis=1))

    def widen(self, found: Observations) -> None:
        """Make room for the labels of `found`."""
        new = sorted(set(found.class_ids.tolist()) - set(self.labels.tolist()))
        if new:
            self.labels = np.concatenate([self.labels, new])
            self.votes = _padded(self.votes, len(self.labels))

    def age(self, elapsed: float) -> None:
        """Begin a frame `elapsed` nominal periods later, in which no track is matched yet."""
        self.unseen = self.unseen + elapsed
        self.detections = np.full(len(self), -1)

    def support(self, rows: IntArray, found: Observations, index: IntArray, states: States) -> None:
        """Let detections `index` (K,) of `found` support the tracks `rows` (K,) with these corrected `states`."""
        self.states[rows] = states
        self.detections[rows] = index
        self.unseen[rows] = 0
        self.hits[rows] += 1
        self.scores[rows] = found.scores[index]
        vote = (self.labels == found.class_ids[index, None]).argmax(axis=1) if len(index) else index
        self.votes[rows, vote] += found.scores[index]

    def look(self, rows: IntArray, features: FloatArray) -> None:
        """Mix the appearance of tracks `rows` (K,) with `features` (K, D); a zero vector, unknown, changes nothing."""
        self.features = _padded(self.features, features.shape[1])
        known = features.any(axis=1)
        rows, features = rows[known], features[known]
        # e <- a e + (1 - a) f
        self.features[rows] = unit(FEATURE_MEMORY * self.features[rows] + (1 - FEATURE_MEMORY) * features)

    def add(self, found: Observations, index: IntArray, states: States) -> None:
        """Append a tentative track for each of the detections `index` (K,) of `found`."""
        first, count = len(self), len(index)
        if not count:
            return
        for name in self.columns:
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.zeros((count, *column.shape[1:]), column.dtype)]))
        self.serials[first:] = self.begun + 1 + np.arange(count)
        self.begun += count
        self.support(np.arange(first, first + count), found, index, states)

    def confirm(self, rows: BoolArray) -> None:
        """Issue ids to the tentative tracks among `rows` (N,)."""
        new = rows & ~self.confirmed
        count = int(new.sum())
        self.ids[new] = self.issued + 1 + np.arange(count)
        self.issued += count

    def keep(self, rows: BoolArray) -> None:
        """Forget all tracks but `rows` (N,)."""
        if not rows.all():
            for name in self.columns:
                setattr(self, name, getattr(self, name)[rows])

    def shown(self, rows: BoolArray, boxes: FloatArray) -> Tracks:
        """Return the tracks `rows` (N,); `boxes` (N, 4) are those of all tracks."""
        index = np.nonzero(rows)[0]
        return Tracks(self.ids[index], boxes[index], self.scores[index], self.class_ids[index], self.detections[index])

    def state(self) -> dict[str, FloatArray | IntArray]:
        """Return all there is to know, as arrays by name."""
        counters = {"counters": np.array([self.begun, self.issued])}
        return {name: getattr(self, name).copy() for name in (*self.columns, "labels")} | counters

    @classmethod
    def restored(cls, state: Mapping[str, FloatArray | IntArray]) -> Self:
        """Return the table that gave `state`; raises ValueError for what no table gives."""
        table = cls()
        try:
            begun, issued = (int(number) for number in state["counters"])
            columns = {name: np.asarray(state[name]) for name in (*cls.columns, "labels")}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"expected the state of a tracker, found none of {error}") from None
        for name, column in columns.items():
            own = getattr(table, name)
            fits = column.dtype == own.dtype and column.ndim == own.ndim and np.isfinite(column).all()
            if not fits or (name != "labels" and len(column) != len(columns["ids"])):
                raise ValueError(f"expected the state of a tracker, found {name} as {column.dtype} {column.shape}")
            setattr(table, name, column.copy())
        table.begun, table.issued = begun, issued
        return table


def _padded(table: FloatArray, columns: int) -> FloatArray:
    """Return `table` with zero columns added up to `columns`."""
    missing = columns - table.shape[1]
    return np.pad(table, ((0, 0), (0, missing))) if missing else table
