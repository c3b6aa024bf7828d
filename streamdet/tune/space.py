"""Which settings of a tracker are searched, and where."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from trackers.types import Settings

# How long a track may live on unseen: from a blink to a passing bus.
BUFFER_RANGE_S = (0.2, 4.0)
# Other times, and counts, are searched from their present value divided by this to their present value times this.
FACTOR = 3
# Above the surest detection there is nothing to find.
SCORE_THRESHOLDS = {"track_high_thresh", "track_low_thresh", "new_track_thresh"}
# MOT detections come without images and classes, so that these decide nothing.
IDLE = {"proximity_thresh", "appearance_thresh", "class_aware"}


def search_space(settings: Settings, highest_score: float) -> dict[str, BaseDistribution]:
    """Return the range of every setting that is worth a search; each holds the present value.

    A switch takes both values, a share all from 0 to 1, a threshold on scores those up to the `highest_score` of a
    detection, times and counts those of the present magnitude; a time of 0 stays, for that is no magnitude.
    """
    ranges = {
        item.name: _range(item.name, item.default, getattr(settings, item.name), highest_score)
        for item in fields(settings)
        if item.name not in IDLE
    }
    return {name: found for name, found in ranges.items() if found is not None}


def _range(name: str, default: Any, value: Any, highest_score: float) -> BaseDistribution | None:
    """Return the range of one setting: the rules of `trackers.types` tell its kind."""
    if isinstance(default, bool):
        return CategoricalDistribution([False, True])
    if isinstance(default, int):
        return IntDistribution(max(1, value // FACTOR), value * FACTOR)
    if name in SCORE_THRESHOLDS:
        return FloatDistribution(0, max(highest_score, value))
    if not name.endswith("_s"):
        return FloatDistribution(0, 1)
    if value == 0:
        return None
    low, high = BUFFER_RANGE_S if name == "track_buffer_s" else (value / FACTOR, value * FACTOR)
    return FloatDistribution(min(low, value), max(high, value), log=True)
