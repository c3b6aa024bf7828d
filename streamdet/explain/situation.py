"""One frame as it was for a track or a detection: what came into question, and who got it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot
from typing import NamedTuple

from streamdet.explain.record import Box, DetectionRow, FrameRecord, Outcome, TrackRow

REACH_HEIGHTS = 1.5  # box heights within which someone who looks for a lost object would look


class Compared(NamedTuple):
    """A track and the row of a detection that `stage` compared; see `PairRow`."""

    stage: str
    limit: float
    serial: int
    row: int
    overlap: float
    cost: float
    outcome: Outcome


class Apart(NamedTuple):
    """A track and the row of a detection that no stage compared, with their `overlap` and distance in px."""

    serial: int
    row: int
    overlap: float
    away_px: float


Candidate = Compared | Apart


class Moment(NamedTuple):
    """When something happened: the `number` of the record from 0, the index of its frame, its time in s."""

    number: int
    frame: int
    time_s: float


class Situation:
    """The record of one frame, by track and by detection; `ids` tells which serials ever get an id."""

    def __init__(self, number: int, record: FrameRecord, ids: Mapping[int, int]) -> None:
        self.moment = Moment(number, record.frame, record.time_s)
        self.record = record
        self.ids = ids
        self.tracks: dict[int, TrackRow] = {track.serial: track for track in record.tracks}
        self.detections: list[DetectionRow] = record.detections
        self.compared = [Compared(stage.name, stage.limit, *pair) for stage in record.stages for pair in stage.pairs]
        self.match_of = {pair.serial: pair for pair in self.compared if pair.outcome == "chosen"}
        self.taker_of = {pair.row: pair for pair in self.match_of.values()}
        self.begun_from = {row: serial for serial, row in record.begun}

    def name(self, serial: int) -> str:
        """Return what a user knows the track `serial` as."""
        return f"id {self.ids[serial]}" if serial in self.ids else "a track that never got an id"

    def hidden(self, serial: int) -> bool:
        """Return whether the track has an id and found no detection in this frame."""
        return self.tracks[serial].id is not None and serial not in self.match_of

    def for_track(self, serial: int) -> list[Candidate]:
        """Return the detections that came into question for a track, the most likely first."""
        return self._candidates([serial], range(len(self.detections)))

    def for_detection(self, row: int) -> list[Candidate]:
        """Return the tracks that came into question for a detection, the most likely first."""
        return self._candidates(list(self.tracks), [row])

    def _candidates(self, serials: Sequence[int], rows: Sequence[int]) -> list[Candidate]:
        """Return the pairs that were compared, best first, then those that only lie near each other.

        What does not overlap counts when nothing else does, and of that the nearest.
        """
        compared = self._best_of({(serial, row) for serial in serials for row in rows})
        known = {(pair.serial, pair.row) for pair in compared}
        lost = [serial for serial in serials if self.hidden(serial)]
        apart = [self._apart(serial, row) for serial in lost for row in rows if (serial, row) not in known]
        overlapping = sorted((pair for pair in apart if pair.overlap > 0), key=lambda pair: -pair.overlap)
        nearest = sorted(filter(self._within_reach, apart), key=lambda pair: pair.away_px)[:1]
        return [*compared, *overlapping] or [*nearest]

    def _best_of(self, wanted: set[tuple[int, int]]) -> list[Compared]:
        """Return of every pair the comparison in which it came nearest to being chosen, nearest first."""
        best: dict[tuple[int, int], Compared] = {}
        for pair in sorted(self.compared, key=lambda pair: pair.cost - pair.limit):
            if (pair.serial, pair.row) in wanted:
                best.setdefault((pair.serial, pair.row), pair)
        return list(best.values())

    def _apart(self, serial: int, row: int) -> Apart:
        track, detection = self.tracks[serial].box, self.detections[row].box
        return Apart(serial, row, _overlap(track, detection), _distance_px(track, detection))

    def _within_reach(self, pair: Apart) -> bool:
        """Return whether a detection that no track took lies so near that one would look there."""
        _, top, _, bottom = self.tracks[pair.serial].box
        return pair.row not in self.taker_of and pair.away_px < REACH_HEIGHTS * (bottom - top)


def _overlap(box: Box, other: Box) -> float:
    """Return the IoU of two boxes."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (box, other)]
    # IoU = |A & B| / (|A| + |B| - |A & B|)
    return width * height / (sum(areas) - width * height)


def _distance_px(box: Box, other: Box) -> float:
    """Return how far apart the centres are."""
    return hypot(box[0] + box[2] - other[0] - other[2], box[1] + box[3] - other[1] - other[3]) / 2
