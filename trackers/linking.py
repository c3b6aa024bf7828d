"""Joins pieces of tracks: where one ends, another begins soon after as the first would have gone on.

All pieces of a sequence are joined at once, by the pairing of ends and beginnings that is most likely as a whole (after
the association of tracklets in Huang, Wu, Nevatia: Robust object tracking by hierarchical association of detection
responses, ECCV 2008).
"""

from __future__ import annotations

import numpy as np

from trackers.assignment import assign
from trackers.smoothing import Trajectory, motion_noise, size, transition
from trackers.types import FloatArray, IntArray

TRUST = 6.0  # in what the tracker decided: to undo a link, or to make one, the odds must be e^3


def link(
    paths: list[Trajectory], ids: IntArray, class_ids: IntArray, *, frame_rate: float, max_hidden_s: float
) -> IntArray:
    """Return for each piece the index (N,) of the one that it goes on from, -1 for none; each is continued once.

    `paths` are the pieces of track after track, each track's in the order of time; `ids` and `class_ids` (N,) are those
    of their tracks; `frame_rate` is in Hz. A piece may go on from the one before it in its track, and from any of its
    class that ended at most `max_hidden_s` before.
    """
    begins = np.array([path.first for path in paths])
    earlier, later, costs = [], [], []
    for index, path in enumerate(paths):
        gaps_s = (begins - path.last) / frame_rate
        own = (np.arange(len(ids)) == index + 1) & (ids == ids[index])
        near = (gaps_s > 0) & (gaps_s <= max_hidden_s) & (class_ids == class_ids[index])
        after = np.nonzero(own | near)[0]
        limits = np.where(own[after], TRUST, -TRUST)
        cost = _surprise(path, [paths[k] for k in after], gaps_s[after]) - limits
        earlier.append(np.full((cost < 0).sum(), index))
        later.append(after[cost < 0])
        costs.append(cost[cost < 0])
    rows, columns = np.concatenate(earlier), np.concatenate(later)
    chosen = assign(rows, columns, np.concatenate(costs), 0.0)
    origins = np.full(len(paths), -1)
    origins[columns[chosen]] = rows[chosen]
    return origins


def _surprise(path: Trajectory, others: list[Trajectory], gaps_s: FloatArray) -> FloatArray:
    """Return how little each of K `others`, which begin `gaps_s` (K,) later, looks like `path` going on.

    It is minus twice the logarithm of the probability density of how another begins, given how `path` ends, with the
    object's size as the unit; 0 is the density of a new object, one per unit.
    """
    if not others:
        return np.zeros(0)
    means = np.stack([other.means[0] for other in others])
    covariances = np.stack([other.covariances[0] for other in others])
    sizes = np.sqrt(size(means) * size(path.means[-1:]))
    step = transition(gaps_s)
    # d = y - F x;  S = F P F' + Q + P_y;  cost = d' S^-1 d + ln det(S / size^2)
    residual = means - step @ path.means[-1]
    spread = step @ path.covariances[-1] @ step.swapaxes(1, 2) + motion_noise(sizes, gaps_s) + covariances
    squared = (residual * np.linalg.solve(spread, residual[:, :, None])[:, :, 0]).sum(axis=1)
    surprise: FloatArray = squared + np.linalg.slogdet(spread / sizes[:, None, None] ** 2)[1]
    return surprise
