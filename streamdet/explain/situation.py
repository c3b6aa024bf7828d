"""One frame as it was for a track or a detection: the candidates, the chosen matches and the required scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot
from typing import NamedTuple

import numpy as np

from streamdet.boxes import box_iou
from streamdet.explain.record import Box, DetectionRow, FrameRecord, Header, Outcome, TrackRow

# A free detection is a candidate for a hidden track within this distance of it, in heights of its box.
REACH_HEIGHTS = 1.5
# Trackers whose thresholds are shares of the mean score of all detections that support the confirmed tracks so far.
RELATIVE_TRACKERS = {"streamsort"}


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
    """A point in time: the `number` of the record from 0, the index of its `frame` in the source, its time in s."""

    number: int
    frame: int
    time_s: float


class Situation:
    """The record of one frame, by track and by detection; `ids` maps serials to the ids of the whole run.

    `match_by_serial` and `match_by_row` hold the chosen pairs, `begun_by_row` the serials of new tracks.
    """

    def __init__(self, number: int, record: FrameRecord, ids: Mapping[int, int]) -> None:
        self.moment = Moment(number, record.frame, record.time_s)
        self.record = record
        self.ids = ids
        self.tracks: dict[int, TrackRow] = {track.serial: track for track in record.tracks}
        self.detections: list[DetectionRow] = record.detections
        self.compared = [Compared(stage.name, stage.limit, *pair) for stage in record.stages for pair in stage.pairs]
        self.match_by_serial = {pair.serial: pair for pair in self.compared if pair.outcome == "chosen"}
        self.match_by_row = {pair.row: pair for pair in self.match_by_serial.values()}
        self.begun_by_row = {row: serial for serial, row in record.begun}

    def name(self, serial: int) -> str:
        """Return how a user knows the track `serial`: by its id, if it ever got one."""
        return f"id {self.ids[serial]}" if serial in self.ids else "a track that never got an id"

    def hidden(self, serial: int) -> bool:
        """Return whether the track has an id, but no detection in this frame."""
        return self.tracks[serial].id is not None and serial not in self.match_by_serial

    def for_track(self, serial: int) -> list[Candidate]:
        """Return the candidates for a track, the most likely detection first."""
        return self._candidates([serial], range(len(self.detections)))

    def for_detection(self, row: int) -> list[Candidate]:
        """Return the candidates for a detection, the most likely track first."""
        return self._candidates(list(self.tracks), [row])

    def _candidates(self, serials: Sequence[int], rows: Sequence[int]) -> list[Candidate]:
        """Return the pairs that a stage compared, best first, then hidden tracks with detections that overlap them.

        If there are none, the nearest pair without overlap is returned, if it is within reach.
        """
        compared = self._best_comparisons({(serial, row) for serial in serials for row in rows})
        known = {(pair.serial, pair.row) for pair in compared}
        hidden = [serial for serial in serials if self.hidden(serial)]
        apart = [self._apart(serial, row) for serial in hidden for row in rows if (serial, row) not in known]
        overlapping = sorted((pair for pair in apart if pair.overlap > 0), key=lambda pair: -pair.overlap)
        nearest = sorted(filter(self._within_reach, apart), key=lambda pair: pair.away_px)[:1]
        return [*compared, *overlapping] or [*nearest]

    def _best_comparisons(self, wanted: set[tuple[int, int]]) -> list[Compared]:
        """Return for each (serial, row) the comparison with the least cost relative to its limit, best first."""
        best: dict[tuple[int, int], Compared] = {}
        for pair in sorted(self.compared, key=lambda pair: pair.cost - pair.limit):
            if (pair.serial, pair.row) in wanted:
                best.setdefault((pair.serial, pair.row), pair)
        return list(best.values())

    def _apart(self, serial: int, row: int) -> Apart:
        track, detection = self.tracks[serial].box, self.detections[row].box
        return Apart(serial, row, _overlap(track, detection), _distance_px(track, detection))

    def _within_reach(self, pair: Apart) -> bool:
        """Return whether the detection is free and within `REACH_HEIGHTS` of the track."""
        _, top, _, bottom = self.tracks[pair.serial].box
        return pair.row not in self.match_by_row and pair.away_px < REACH_HEIGHTS * (bottom - top)


def _overlap(box: Box, other: Box) -> float:
    """Return the IoU of two boxes."""
    return float(box_iou(np.array([box], np.float64), np.array([other], np.float64)).item())


def _distance_px(box: Box, other: Box) -> float:
    """Return the distance between the centres of two boxes."""
    return hypot(box[0] + box[2] - other[0] - other[2], box[1] + box[3] - other[1] - other[3]) / 2


class ScoreLimits:
    """The scores that a detection needs in a frame, by the tracker's settings and by the tracks at that time.

    It follows the record from the first frame on, because the thresholds of `RELATIVE_TRACKERS` depend on all scores so
    far. These are shares of `mean` when a frame is associated, and of `mean_at_birth` when its new tracks begin: 1 for
    other trackers, None while nothing is tracked or when the record begins later than a track.
    """

    def __init__(self, header: Header) -> None:
        settings = header.settings
        self.relative = header.tracker in RELATIVE_TRACKERS
        self.high = float(settings.get("track_high_thresh", 0))
        """From this share or score on a detection may match any track."""
        self.low = float(settings.get("track_low_thresh", self.high)) if settings.get("weak_stage", True) else self.high
        """From here on a detection may match a track that was seen in the frame before."""
        self.birth = max(float(settings.get("new_track_thresh", 0)), self.high)
        """From here on a detection may begin a track."""
        self._support: dict[int, tuple[int, float]] = {}  # by serial: number and sum of the scores of its detections
        self._confirmed: set[int] = set()
        self.mean = self.mean_at_birth = self._mean_score()

    def follow(self, now: Situation) -> None:
        """Update both means to the frame `now`, the one after the frame of the last call."""
        self.mean = self._mean_score()
        self._confirmed |= {track.serial for track in now.record.tracks if track.id is not None}
        for serial, match in now.match_by_serial.items():
            if serial in self._support:
                hits, total = self._support[serial]
                self._support[serial] = hits + 1, total + now.detections[match.row].score
        begun = {serial for serial, _ in now.record.begun}
        confirmed = {serial for serial, _ in now.record.confirmed}
        self._confirmed |= confirmed - begun
        for serial in now.record.ended:
            self._confirmed.discard(serial)
            self._support.pop(serial, None)
        self.mean_at_birth = self._mean_score()
        for serial, row in now.record.begun:
            self._support[serial] = 1, now.detections[row].score
        self._confirmed |= confirmed

    def _mean_score(self) -> float | None:
        if not self.relative:
            return 1.0
        support = [self._support.get(serial) for serial in self._confirmed]
        known = [pair for pair in support if pair]
        if not known or len(known) < len(support):
            return None
        return sum(total for _, total in known) / sum(hits for hits, _ in known)
