"""All tracks of one tracker as a struct of arrays: row i of every column belongs to one track, oldest first."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trackers.kalman import Gaussians
from trackers.rows import BoolArray, FloatArray, IntArray, Observations, Tracks, unit

FEATURE_MEMORY = 0.9  # share of the old appearance that a new one leaves (BoT-SORT, eq. 11)
COLUMNS = ("ids", "means", "covariances", "detections", "unseen", "scores", "votes", "features")


@dataclass(slots=True)
class TrackTable:
    """The columns, N rows each.

    `ids` i64, 0 while a track is tentative; `means` f64 (N, 8) and `covariances` f64 (N, 8, 8), see `trackers.kalman`;
    `detections` i64, the row that supported the track in the last frame, -1 for none; `unseen` f64, nominal frame
    periods since a detection did; `scores` f64 of that detection; `votes` f64 (N, C), the sum of scores for each of the
    C `labels` met so far; `features` f64 (N, D) of unit length, zero while unknown. Ids are issued on confirmation,
    from 1, never twice.
    """

    ids: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    means: FloatArray = field(default_factory=lambda: np.zeros((0, 8)))
    covariances: FloatArray = field(default_factory=lambda: np.zeros((0, 8, 8)))
    detections: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    unseen: FloatArray = field(default_factory=lambda: np.zeros(0))
    scores: FloatArray = field(default_factory=lambda: np.zeros(0))
    votes: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    features: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    labels: list[int] = field(default_factory=list)
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

    def widen(self, found: Observations) -> None:
        """Make room for the labels and features of `found`; raises ValueError when the length of features changed."""
        known, length = self.features.shape[1], found.features.shape[1]
        if known and length and known != length:
            raise ValueError(f"features must keep their length of {known}, got {length}")
        self.features = _padded(self.features, max(known, length))
        self.labels += sorted(set(found.class_ids.tolist()) - set(self.labels))
        self.votes = _padded(self.votes, len(self.labels))

    def age(self, elapsed: float) -> None:
        """Begin a frame `elapsed` nominal periods later, in which no track is matched yet."""
        self.unseen = self.unseen + elapsed
        self.detections = np.full(len(self), -1)

    def move(self, estimates: Gaussians) -> None:
        """Replace the estimate of every track."""
        self.means, self.covariances = estimates

    def support(self, rows: IntArray, found: Observations, index: IntArray, estimates: Gaussians) -> None:
        """Let detections `index` (K,) of `found` support the tracks `rows` (K,) with these corrected estimates."""
        self.means[rows], self.covariances[rows] = estimates
        self.detections[rows] = index
        self.unseen[rows] = 0
        self.scores[rows] = found.scores[index]
        self.votes[rows, self._vote_columns(found.class_ids[index])] += found.scores[index]
        if found.features.shape[1]:
            # e <- a e + (1 - a) f
            mixed = FEATURE_MEMORY * self.features[rows] + (1 - FEATURE_MEMORY) * found.features[index]
            self.features[rows] = unit(mixed)

    def add(self, found: Observations, index: IntArray, estimates: Gaussians) -> None:
        """Append a tentative track for each of the detections `index` (K,) of `found`."""
        first, count = len(self), len(index)
        for name in COLUMNS:
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.zeros((count, *column.shape[1:]), column.dtype)]))
        self.support(np.arange(first, first + count), found, index, estimates)

    def confirm(self, rows: BoolArray) -> None:
        """Issue ids to the tentative tracks among `rows` (N,)."""
        new = rows & ~self.confirmed
        count = int(new.sum())
        self.ids[new] = self.issued + 1 + np.arange(count)
        self.issued += count

    def keep(self, rows: BoolArray) -> None:
        """Forget all tracks but `rows` (N,)."""
        for name in COLUMNS:
            setattr(self, name, getattr(self, name)[rows])

    def shown(self, boxes: FloatArray) -> Tracks:
        """Return the confirmed and matched tracks; `boxes` (N, 4) are those of all rows."""
        rows = np.nonzero(self.confirmed & self.matched)[0]
        labels = np.array(self.labels, np.int64)
        winners = self.votes[rows].argmax(axis=1) if len(rows) else rows
        return Tracks(self.ids[rows], boxes[rows], self.scores[rows], labels[winners], self.detections[rows])

    def _vote_columns(self, class_ids: IntArray) -> IntArray:
        """Return the column of `votes` for each of `class_ids`."""
        column = {label: i for i, label in enumerate(self.labels)}
        return np.array([column[label] for label in class_ids.tolist()], np.int64)


def _padded(table: FloatArray, columns: int) -> FloatArray:
    """Return `table` with zero columns added up to `columns`."""
    missing = columns - table.shape[1]
    return np.pad(table, ((0, 0), (0, missing))) if missing else table
