"""What appearance shows of earlier ids: that two tracks that came near each other went on with each other's objects.

Motion does not tell a crossing from a turn. Where appearance is given, that of both tracks is kept as it was before
they came near each other. Once they are apart, both are looked at a few times: if each then looks like the other one
did, and less like itself, their ids were exchanged. What is told is meant to be right, so that trajectories can be
corrected by it. The tracker does not exchange ids back; from then on the appearance of either track is the one that it
has shown since, so that a later encounter is judged by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from trackers.association import FrameContext, Matching
from trackers.tracks import TrackTable
from trackers.types import Amendment, BoolArray, FloatArray, IntArray, unit

NEAR = 0.1  # IoU of a track with the detection of another one from which on the two may be exchanged
WAIT_S = 0.2  # after that, and after each look: a crop taken a moment later shows nothing new
DECIDED_S = 1.0  # after the two have parted
FEWEST_LOOKS = 2  # by then; otherwise as soon as there are as many
REMEMBERED_S = 2.0  # after the two overlapped most: what either looked like before is worth less and less
CLEARER_BY = 0.08  # by which both are more similar to the other one before than either is to itself, as cosines
MOST = 100  # encounters: the oldest are forgotten
# The columns of an encounter: the serials of its two tracks; whether the appearance of both was known before; their
# largest overlap so far; the periods since that, since they were last near each other, and since they were that or
# looked at; the number of these looks.
PAIR, AGES = slice(0, 2), slice(4, 7)
KNOWN, OVERLAP, CLOSEST, PARTED, LOOKED, LOOKS = range(2, 8)
COLUMNS = 8
BEFORE, SINCE = slice(0, 2), slice(2, 4)  # the appearance of both before, of unit length, and the sums of the looks


@dataclass(slots=True)
class Encounters:
    """The encounters (K, 8) that are not judged yet, with the `features` (K, 4, D) of each; `frame_rate` in Hz.

    Those that look alike have a cosine similarity of `min_similarity` at least.
    """

    frame_rate: float
    min_similarity: float
    open: FloatArray = field(default_factory=lambda: np.zeros((0, COLUMNS)))
    features: FloatArray = field(default_factory=lambda: np.zeros((0, 4, 0)))

    def follow(self, table: TrackTable, frame: FrameContext, matching: Matching) -> tuple[Amendment, ...]:
        """Return the swaps that a frame shows, given its `matching`, by which `table` is not corrected yet."""
        if frame.appearance is None and not len(self.open):
            return ()
        self.open[:, AGES] += frame.elapsed
        near, overlaps = _near(frame, matching)
        if len(near):
            self._add(table, near, overlaps)
        rows = self._keep(table)
        if frame.appearance is None or not len(rows):
            return ()
        alone = matching.detection_of >= 0
        alone[near.ravel()] = False
        self._look(frame, matching, rows, alone)
        return self._decided(table, rows)

    def _add(self, table: TrackTable, near: IntArray, overlaps: FloatArray) -> None:
        """Begin an encounter of each pair of tracks `near` (P, 2) that has none; others wait anew for their parting."""
        serials = table.serials[near]
        same = (self.open[:, None, PAIR] == serials).all(axis=2)
        again = same.any(axis=1)
        self.open[again, PARTED:] = 0
        self.features[again, SINCE] = 0
        overlap = (same * overlaps).max(axis=1, initial=0)
        closer = again & (overlap >= self.open[:, OVERLAP])
        self.open[closer, OVERLAP], self.open[closer, CLOSEST] = overlap[closer], 0
        new = ~same.any(axis=0)
        if new.any() and table.features.shape[1]:
            known = (table.confirmed & table.known)[near[new]].all(axis=1)
            begun = np.column_stack([serials[new], known, overlaps[new], np.zeros((len(known), COLUMNS - CLOSEST))])
            features = np.pad(table.features[near[new]], ((0, 0), (0, 2), (0, 0)))
            self.open = np.concatenate([self.open, begun])[-MOST:]
            self.features = np.concatenate([self.features, features] if len(self.features) else [features])[-MOST:]

    def _keep(self, table: TrackTable) -> IntArray:
        """Forget encounters that can show nothing any more; return the rows (K, 2) of the tracks of the others."""
        serials = self.open[:, PAIR]
        rows = np.searchsorted(table.serials, serials)
        found = np.append(table.serials, 0)[rows] == serials
        remembered_s = np.where(self.open[:, KNOWN] > 0, REMEMBERED_S, WAIT_S)
        kept = found[:, 0] & found[:, 1] & (self.open[:, PARTED] < remembered_s * self.frame_rate)
        self._select(kept)
        chosen: IntArray = rows[kept]
        return chosen

    def _select(self, which: BoolArray) -> None:
        self.open, self.features = self.open[which], self.features[which]

    def _look(self, frame: FrameContext, matching: Matching, rows: IntArray, alone: BoolArray) -> None:
        """Add the features of the tracks `rows` (K, 2) where it is time to; `alone` (N,) are those seen alone."""
        waited = self.open[:, LOOKED] >= WAIT_S * self.frame_rate
        which = (waited & alone[rows].all(axis=1)).nonzero()[0]
        if frame.appearance is None or not len(which):
            return
        seen = frame.appearance.features(matching.detection_of[rows[which]].ravel()).reshape(len(which), 2, -1)
        known = np.linalg.norm(seen, axis=2).min(axis=1) > 0
        self.open[which, LOOKED] = 0
        self.open[which, LOOKS] += known
        self.features[which, SINCE] += known[:, None, None] * seen

    def _decided(self, table: TrackTable, rows: IntArray) -> tuple[Amendment, ...]:
        """Judge the encounters that are due, and return what they show; no track is in two of these."""
        due = (self.open[:, PARTED] >= DECIDED_S * self.frame_rate) & (self.open[:, LOOKS] >= FEWEST_LOOKS)
        if not due.any():
            return ()
        recent = self.open[:, CLOSEST] <= REMEMBERED_S * self.frame_rate
        clearness = due * recent * self._clearness()
        told: list[Amendment] = []
        exchanged: set[float] = set()
        for k in np.argsort(-clearness, kind="stable")[: np.count_nonzero(clearness > 0)].tolist():
            pair = self.open[k, PAIR].tolist()
            if exchanged.isdisjoint(pair):
                exchanged.update(pair)
                table.features[rows[k]] = unit(self.features[k, SINCE])
                first, second = table.ids[rows[k]].tolist()
                told.append(Amendment("swapped", (first, second), float(self.open[k, CLOSEST]) / self.frame_rate))
        # Of those whose ids were exchanged, other encounters have kept the wrong appearance.
        self._select(~due & ~np.isin(self.open[:, PAIR], [*exchanged]).any(axis=1))
        return tuple(told)

    def _clearness(self) -> FloatArray:
        """Return how much more alike both of each encounter (K,) are crosswise, 0 where that shows no swap."""
        alike = np.einsum("kid,kjd->kij", self.features[:, BEFORE], unit(self.features[:, SINCE]))
        straight, crossed = alike[:, [0, 1], [0, 1]], alike[:, [0, 1], [1, 0]]
        clear = crossed.min(axis=1) > np.maximum(straight.max(axis=1) + CLEARER_BY, self.min_similarity)
        clearness: FloatArray = clear * (crossed - straight).mean(axis=1)
        return clearness

    def state(self) -> dict[str, FloatArray]:
        """Return the state as arrays by name, for `restored`."""
        return {"encounters": self.open.copy(), "encounter_features": self.features.copy()}

    def restored(self, state: Mapping[str, FloatArray | IntArray]) -> Encounters:
        """Return the encounters in the `state` of a tracker, none where earlier versions kept none.

        Raises ValueError for encounters that no tracker leaves.
        """
        if "encounters" not in state:
            return Encounters(self.frame_rate, self.min_similarity)
        rows, features = (np.array(state.get(name, ()), np.float64) for name in ("encounters", "encounter_features"))
        fits = rows.shape[1:] == (COLUMNS,) and bool(np.isfinite(rows).all() and (rows >= 0).all())
        width = np.shape(state.get("features", ()))[1:] if len(rows) else features.shape[2:]
        if not fits or features.shape != (len(rows), 4, *width) or not np.isfinite(features).all():
            raise ValueError("expected the state of a tracker, found encounters that no tracker leaves")
        return replace(self, open=rows, features=features)


def _near(frame: FrameContext, matching: Matching) -> tuple[IntArray, FloatArray]:
    """Return the rows (P, 2) of the pairs of tracks of which one overlaps the detection of the other, and how far (P,).

    Each pair is there once, with its larger overlap.
    """
    rows, columns, iou = frame.pairs
    others, count = matching.track_of.take(columns), len(matching.detection_of)
    near = ((iou >= NEAR) & (others >= 0) & (others != rows)).nonzero()[0]
    if not len(near):
        return np.zeros((0, 2), np.int64), np.zeros(0)
    one, other = rows.take(near), others.take(near)
    numbers, which = np.unique(np.minimum(one, other) * count + np.maximum(one, other), return_inverse=True)
    overlaps = np.zeros(len(numbers))
    np.maximum.at(overlaps, which, iou.take(near))
    return np.column_stack(np.divmod(numbers, count)), overlaps
