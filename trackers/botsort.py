"""BoT-SORT: ByteTrack's association with a better state, camera motion and appearance (arXiv 2206.14651)."""

from __future__ import annotations

from dataclasses import dataclass

from trackers.kalman import WidthHeightFilter
from trackers.two_stage import AppearanceGate, TwoStageSettings, TwoStageTracker


@dataclass(frozen=True, slots=True)
class BotSortSettings(TwoStageSettings):
    """Settings of `BotSort`: those of all two-stage trackers and the gate for appearance."""

    proximity_thresh: float = 0.5
    """Smallest IoU at which appearance may decide."""
    appearance_thresh: float = 0.8
    """Smallest cosine similarity at which appearance may decide."""


class BotSort(TwoStageTracker):
    """The two-stage tracker over a state of centre, width and height; appearance counts when features are given."""

    def __init__(self, settings: BotSortSettings | None = None, *, frame_rate: float = 30.0) -> None:
        settings = settings or BotSortSettings()
        gate = AppearanceGate(settings.proximity_thresh, settings.appearance_thresh)
        super().__init__(settings, WidthHeightFilter(), frame_rate=frame_rate, gate=gate)
