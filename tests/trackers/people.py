"""People as boxes, and frames in which a tracker sees them."""

import numpy as np

from trackers.tracker import Tracker
from trackers.types import Tracks


def person(x: float, y: float = 100.0, height: float = 100.0) -> list[float]:
    """Return a box 40 px wide, in px."""
    return [x, y, x + 40, y + height]


def see(tracker: Tracker, *boxes: list[float], score: float = 0.9, label: int = 0, elapsed: float = 1.0) -> Tracks:
    count = len(boxes)
    return tracker.update(np.reshape(boxes, (count, 4)), [score] * count, [label] * count, elapsed=elapsed)
