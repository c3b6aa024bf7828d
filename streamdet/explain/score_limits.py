"""Which score a detection needs in a frame, by the tracker's settings and by what it tracks at the time."""

from __future__ import annotations

from streamdet.explain.record import Header
from streamdet.explain.situation import Situation

# Their thresholds are shares of the mean score of all detections that support the confirmed tracks of the moment.
RELATIVE = {"streamsort"}


class ScoreLimits:
    """Follows the record from its first frame, because some trackers judge a score by those before it.

    `mean` is what thresholds are shares of when a frame is associated, `mean_at_birth` the same when its new tracks
    begin: 1 for trackers that take thresholds as they are, None while nothing is tracked or the beginning is not known.
    """

    def __init__(self, header: Header) -> None:
        settings = header.settings
        self.relative = header.tracker in RELATIVE
        self.high = float(settings.get("track_high_thresh", 0))
        """Share or score from which a detection may match any track."""
        self.low = float(settings.get("track_low_thresh", self.high)) if settings.get("weak_stage", True) else self.high
        """From here on a detection may keep a track that was seen in the frame before."""
        self.birth = max(float(settings.get("new_track_thresh", 0)), self.high)
        """From here on it may begin a track."""
        self._support: dict[int, tuple[int, float]] = {}  # by serial: number and sum of the scores of its detections
        self._confirmed: set[int] = set()
        self.mean = self.mean_at_birth = self._mean_score()

    def follow(self, now: Situation) -> None:
        """Go on to the next frame."""
        self.mean = self._mean_score()
        self._confirmed |= {track.serial for track in now.record.tracks if track.id is not None}
        for serial, match in now.match_of.items():
            self._add(serial, now.detections[match.row].score)
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

    def _add(self, serial: int, score: float) -> None:
        if serial in self._support:
            hits, total = self._support[serial]
            self._support[serial] = hits + 1, total + score

    def _mean_score(self) -> float | None:
        if not self.relative:
            return 1.0
        support = [self._support.get(serial) for serial in self._confirmed]
        known = [pair for pair in support if pair]
        if not known or len(known) < len(support):
            return None
        return sum(total for _, total in known) / sum(hits for hits, _ in known)
