"""ByteTrack: every detection box is associated, weak ones too (arXiv 2110.06864)."""

from __future__ import annotations

from dataclasses import dataclass

from trackers.kalman import AspectHeightFilter
from trackers.two_stage import TwoStageSettings, TwoStageTracker


@dataclass(frozen=True, slots=True)
class ByteTrackSettings(TwoStageSettings):
    """Settings of `ByteTrack`: those of all two-stage trackers."""


class ByteTrack(TwoStageTracker):
    """The two-stage tracker over a state of centre, aspect ratio and height."""

    def __init__(self, settings: ByteTrackSettings | None = None, *, frame_rate: float = 30.0) -> None:
        super().__init__(settings or ByteTrackSettings(), AspectHeightFilter(), frame_rate=frame_rate)
