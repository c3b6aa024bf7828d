"""What a tracker decided in one frame, kept to explain it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trackers.association import Association, Matching
from trackers.tracks import TrackTable
from trackers.types import FloatArray, IntArray

# Serials, ids, unseen nominal frame periods (N,) and boxes (N, 4) of tracks.
TrackRows = tuple[IntArray, IntArray, FloatArray, FloatArray]
NO_TRACKS: TrackRows = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4))


class Decisions(NamedTuple):
    """The decisions of a tracker in one frame.

    - `serials`, `ids`, `unseen` (N,) and `boxes` (N, 4): the tracks before the frame, boxes as predicted for it. Those
      that ended over a long step come last, and at the boxes where they were.
    - `associations`: the stages of the matching; their rows are tracks of these N, their columns detections.
    - `begun` i64 (K, 2): serial and detection of each new track.
    - `confirmed` i64 (K, 2): serial and new id of each track that was confirmed.
    - `ended` i64 (K,): serials of the tracks that were removed.
    """

    serials: IntArray
    ids: IntArray
    unseen: FloatArray
    boxes: FloatArray
    associations: tuple[Association, ...]
    begun: IntArray
    confirmed: IntArray
    ended: IntArray


def explain(table: TrackTable, before: TrackRows, ended: TrackRows, matching: Matching) -> Decisions:
    """Return the decisions that led to `table`; `before` and `ended` are the tracks before and those ended by time."""
    serials, ids, unseen, boxes = (np.concatenate(columns) for columns in zip(before, ended, strict=True))
    new = ~np.isin(table.serials, serials)
    earlier_ids = dict(zip(serials.tolist(), ids.tolist(), strict=True))
    with_id = [pair for pair in zip(table.serials.tolist(), table.ids.tolist(), strict=True) if pair[1]]
    return Decisions(
        serials,
        ids,
        unseen,
        boxes,
        tuple(matching.associations),
        begun=np.column_stack([table.serials[new], table.detections[new]]),
        confirmed=np.array([pair for pair in with_id if not earlier_ids.get(pair[0])], np.int64).reshape(-1, 2),
        ended=serials[~np.isin(serials, table.serials)],
    )
