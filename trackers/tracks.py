"""All tracks of one tracker as a struct of arrays: row i of every column belongs to one track, in order of birth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from trackers.acceleration import accelerated
from trackers.rotated import placed
from trackers.states import SPEED_VARIANCE, VARIANCE, States, no_states
from trackers.types import BoolArray, FloatArray, IntArray, Observations, Tracks, unit

FEATURE_MEMORY = 0.9  # share of the old appearance that a new one leaves (BoT-SORT, eq. 11)
MOST_TRACKS = 2**53  # numbers beyond this one are those of no video
COLUMNS = ("serials", "ids", "states", "detections", "unseen", "hits", "scores", "votes", "features", "shapes")


@dataclass(slots=True)
class TrackTable:
    """Columns with a row for each of N tracks.

    - `serials` i64: numbers of all tracks, tentative ones included, in order of birth, from 1.
    - `ids` i64: issued on confirmation, from 1, never twice; 0 while a track is tentative.
    - `states` f64 (N, 5, 4): the estimates, see `trackers.kalman`.
    - `detections` i64: the row of the detection matched in the last frame, -1 for none.
    - `unseen` f64: nominal frame periods since the last matched detection.
    - `hits` i64: the number of matched detections.
    - `scores` f64: the score of the last matched detection.
    - `votes` f64 (N, C): the sum of scores for each of the C `labels`, the class ids that have occurred so far.
    - `features` f64 (N, D): the appearance, of unit length, zero while unknown.
    - `shapes` f64 (N, 3): those of rotated boxes as seen last, see `trackers.rotated`; (N, 0) without.

    `begun` and `issued` count the serials and ids given out so far.
    """

    columns: ClassVar[tuple[str, ...]] = COLUMNS

    serials: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    ids: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    states: States = field(default_factory=lambda: no_states(0))
    detections: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    unseen: FloatArray = field(default_factory=lambda: np.zeros(0))
    hits: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    scores: FloatArray = field(default_factory=lambda: np.zeros(0))
    votes: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    features: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    shapes: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    labels: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    begun: int = 0
    issued: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def confirmed(self) -> BoolArray:
        """Which tracks (N,) have an id."""
        return self.ids > 0

    @property
    def matched(self) -> BoolArray:
        """Which tracks (N,) were matched with a detection in the last frame."""
        return self.detections >= 0

    @property
    def class_ids(self) -> IntArray:
        """The label (N,) with the most votes of each track."""
        return self.labels.take(self.votes.argmax(axis=1)) if len(self) else np.zeros(0, np.int64)

    @property
    def known(self) -> BoolArray:
        """Which tracks (N,) have an appearance."""
        return np.asarray(self.features.any(axis=1))

    def add_labels(self, class_ids: IntArray) -> None:
        """Add columns of votes for those of `class_ids` that have not occurred before."""
        if new := sorted(set(class_ids.tolist()).difference(self.labels.tolist())):
            self.labels = np.concatenate([self.labels, new])
            self.votes = _padded(self.votes, len(self.labels))

    def expect_shapes(self, detections: Observations) -> None:
        """Make room for the shapes of `detections`; raises ValueError if either they or the tracks have none."""
        width = detections.shapes.shape[1]
        if not len(self):
            self.shapes = np.zeros((0, width))
        elif len(detections.scores) and width != self.shapes.shape[1]:
            raise ValueError(f"boxes must stay {'rotated' if self.shapes.shape[1] else 'upright'}, as those of tracks")

    def age(self, elapsed: float) -> None:
        """Begin a frame `elapsed` nominal periods later, in which no track is matched yet."""
        self.unseen += elapsed
        self.detections.fill(-1)

    def support(self, rows: IntArray, detections: Observations, index: IntArray) -> None:
        """Record that tracks `rows` (K,), whose `states` are corrected, match the detections `index` (K,)."""
        self.detections[rows] = index
        self.unseen[rows] = 0
        self.hits[rows] += 1
        scores, class_ids = detections.scores.take(index), detections.class_ids.take(index)
        self.scores[rows] = scores
        if detections.shapes.shape[1]:
            self.shapes[rows] = detections.shapes[index]
        count_votes(self.votes, rows, self.labels, class_ids, scores)

    def update_features(self, rows: IntArray, features: FloatArray) -> None:
        """Mix the appearance of tracks `rows` (K,) with `features` (K, D); a zero vector, unknown, changes nothing."""
        self.features = _padded(self.features, features.shape[1])
        known = features.any(axis=1)
        rows, features = rows[known], features[known]
        # e <- a e + (1 - a) f
        self.features[rows] = unit(FEATURE_MEMORY * self.features[rows] + (1 - FEATURE_MEMORY) * features)

    def add(self, detections: Observations, index: IntArray, states: States) -> None:
        """Append a tentative track for each of the detections `index` (K,); `states` are the first estimates."""
        first, count = len(self), len(index)
        for name in self.columns:
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.zeros((count, *column.shape[1:]), column.dtype)]))
        self.serials[first:] = self.begun + 1 + np.arange(count)
        self.begun += count
        self.states[first:] = states
        self.support(np.arange(first, first + count), detections, index)

    def confirm(self, rows: BoolArray) -> None:
        """Issue ids to the tentative tracks among `rows` (N,), a mask."""
        new = (rows > self.confirmed).nonzero()[0]
        if len(new):
            self.ids[new] = self.issued + 1 + np.arange(len(new))
            self.issued += len(new)

    def keep(self, rows: BoolArray) -> None:
        """Remove all tracks but `rows` (N,), a mask."""
        if np.count_nonzero(rows) < len(rows):
            for name in self.columns:
                setattr(self, name, getattr(self, name)[rows])

    def to_tracks(self, rows: BoolArray, boxes: FloatArray) -> Tracks:
        """Return the tracks `rows` (N,), a mask, as the result of a frame; `boxes` (N, 4) are those of all tracks."""
        index = rows.nonzero()[0]
        ids, scores, class_ids = self.ids.take(index), self.scores.take(index), self.class_ids.take(index)
        shown = boxes.take(index, axis=0)
        rotated = placed(shown, self.shapes.take(index, axis=0))
        return Tracks(ids, shown, scores, class_ids, self.detections.take(index), rotated)

    def state(self) -> dict[str, FloatArray | IntArray]:
        """Return all columns, labels and counters as arrays by name, for `from_state`."""
        counters = {"counters": np.array([self.begun, self.issued])}
        names = (name for name in (*self.columns, "labels") if name != "shapes" or self.shapes.shape[1])
        return {name: getattr(self, name).copy() for name in names} | counters

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, FloatArray | IntArray],
        like: Self | None = None,
        feature_length: int | None = None,
    ) -> Self:
        """Return the table that returned `state`, whose columns are as wide as those of `like`, if given.

        Its features, if there are any, have the `feature_length`, if given. Raises ValueError for arrays that are
        missing or do not fit, and for values that no tracker leaves.
        """
        table = cls()
        try:
            state = {"shapes": np.zeros((len(state["ids"]), 0)), **state}  # which upright boxes do not have
            begun, issued = (int(number) for number in state["counters"])
            columns = {name: np.asarray(state[name]) for name in (*cls.columns, "labels")}
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"expected the state of a tracker, found none of {error}") from None
        for name, column in columns.items():
            own = getattr(table, name)
            fits = column.dtype == own.dtype and column.ndim == own.ndim and np.isfinite(column).all()
            if not fits or (name != "labels" and len(column) != len(columns["ids"])):
                raise ValueError(f"expected the state of a tracker, found {name} as {column.dtype} {column.shape}")
            # These three are as wide as the detections make them; the settings decide about the other columns.
            fixed = like is not None and name not in ("features", "votes", "shapes")
            if fixed and column.shape[1:] != (width := getattr(like, name).shape[1:]):
                raise ValueError(
                    f"expected the state of a tracker, found {name} of width {column.shape[1:]}, not {width}"
                )
            setattr(table, name, column.copy())
        found = table.features.shape[1]
        if feature_length is not None and found not in (0, feature_length):
            raise ValueError(f"expected the state of a tracker with features of length {feature_length}, found {found}")
        table.begun, table.issued = begun, issued
        table._check()
        return table

    def _check(self) -> None:
        """Raise ValueError unless the columns are such as updates leave them."""
        named = self.ids[self.confirmed]
        shown = self.detections[self.matched]
        rules = {
            "states": self.states.shape[1:] == (5, 4) and (self.states[:, [VARIANCE, SPEED_VARIANCE]] >= 0).all(),
            "serials": _within(self.serials, 1, self.begun) and (np.diff(self.serials) > 0).all(),
            "ids": _within(self.ids, 0, self.issued) and _distinct(named),
            "detections": (self.detections >= -1).all() and _distinct(shown),
            "unseen": (self.unseen >= 0).all(),
            "hits": (self.hits >= 1).all(),
            "scores": _within(self.scores, 0, 1),
            "labels": (self.labels >= 0).all() and _distinct(self.labels),
            "votes": self.votes.shape[1] == len(self.labels) and (self.votes >= 0).all(),
            "shapes": self.shapes.shape[1] in (0, 3) and (self.shapes[:, :2] >= 0).all(),
            "features": (np.abs(self.features) <= 1 + 1e-6).all(),
            "counters": 0 <= self.issued <= self.begun <= MOST_TRACKS,
        }
        for name, holds in rules.items():
            if not holds:
                raise ValueError(f"expected the state of a tracker, found {name} that no tracker leaves")


@accelerated
def count_votes(votes: FloatArray, rows: IntArray, labels: IntArray, class_ids: IntArray, scores: FloatArray) -> None:
    """Add `scores` (K,) to the rows (K,) of `votes` (N, C), in the columns of their `class_ids` (K,) among `labels`."""
    if len(rows):
        votes[rows, (labels == class_ids[:, None]).argmax(axis=1)] += scores


def state_number(state: Mapping[str, FloatArray | IntArray], name: str) -> float:
    """Return the only number in the array `name` of `state`; raises ValueError if there is none."""
    if name not in state or state[name].shape != (1,) or state[name].dtype.kind not in "if":
        raise ValueError(f"expected the state of a tracker, found none of {name!r}")
    return float(state[name][0])


def _within(values: FloatArray | IntArray, least: float, most: float) -> bool:
    return bool(((values >= least) & (values <= most)).all())


def _distinct(values: IntArray) -> bool:
    return len(np.unique(values)) == len(values)


def _padded(table: FloatArray, columns: int) -> FloatArray:
    """Return `table` (N, C) with columns of zeros added up to `columns`."""
    missing = columns - table.shape[1]
    return np.pad(table, ((0, 0), (0, missing))) if missing else table
