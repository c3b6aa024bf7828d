"""Tracks of people who walk."""

from collections.abc import Sequence

import numpy as np

from trackers.mot import MotRows

RATE_HZ = 30.0


def walk(
    track_id: int,
    frames: Sequence[int],
    *,
    pace_px: float = 4.0,
    start_px: float = 100.0,
    score: float = 0.9,
    label: int = 0,
) -> MotRows:
    """Return a track of 40 x 100 px that is `start_px` to the right in frame 0 and goes `pace_px` per frame."""
    numbers = np.array(frames, np.int64)
    left = start_px + pace_px * numbers
    corners = np.stack([left, np.full_like(left, 50), left + 40, np.full_like(left, 150)], axis=1)
    count = len(numbers)
    return MotRows(numbers, np.full(count, track_id), corners, np.full(count, score), np.full(count, label))
