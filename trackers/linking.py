"""Which pieces of finished tracks are of one object."""

from __future__ import annotations

import numpy as np

from trackers.appearance import unlike
from trackers.assignment import assign
from trackers.smoothing import WALKERS_WANDER, Trajectory, motion_noise, size, transition
from trackers.types import FloatArray, IntArray

MOST_UNLIKE = 0.2  # mean cosine distance between two tracks that are taken for one object by their appearance alone
REACH_SIZES, REACH_SIZES_PER_S = 0.5, 1.5  # how far away from where it was seen last an object begins again
# Now and then a piece begins or ends with a box of a part of the object, beside what hides it: how often, and the
# deviations of the width and of the place along it then, in sizes.
PART_SHARE, PART_WIDTH, PART_PLACE = 0.1, 0.5, 0.25
TRUST = 6.0  # in the tracker's decisions: the odds must be e^3 to undo a link of its, or to make another one


def link(
    paths: list[Trajectory],
    ids: IntArray,
    class_ids: IntArray,
    features: FloatArray,
    *,
    frame_rate: float,
    max_hidden_s: float,
    wander: float,
) -> IntArray:
    """Return for each of N pieces of tracks the index (N,) of the piece that it continues, -1 for none.

    `paths` are the pieces, ordered by track and time; `ids` and `class_ids` (N,) are those of their tracks,
    `features` (N, D) the means of those of the pieces, zero if unknown; `frame_rate` is in Hz. A piece may continue
    the one before it in its track, and any piece of its class that ended at most `max_hidden_s` before, unless they
    look unlike; each is continued at most once.

    All pieces are linked at once, by the most likely pairing of ends and beginnings (after the association of tracklets
    in Huang, Wu, Nevatia: Robust object tracking by hierarchical association of detection responses, ECCV 2008).
    """
    begins = np.array([path.first for path in paths])
    earlier, later, costs = [], [], []
    for index, path in enumerate(paths):
        gaps_s = (begins - path.last) / frame_rate
        own = (np.arange(len(ids)) == index + 1) & (ids == ids[index])
        near = (gaps_s > 0) & (gaps_s <= max_hidden_s) & (class_ids == class_ids[index])
        after = np.nonzero(own | near)[0]
        after = after[~unlike(features[index], features[after])]
        limits = np.where(own[after], TRUST, -TRUST)
        cost = _surprise(path, [paths[k] for k in after], gaps_s[after], wander) - limits
        earlier.append(np.full((cost < 0).sum(), index))
        later.append(after[cost < 0])
        costs.append(cost[cost < 0])
    rows, columns = np.concatenate(earlier), np.concatenate(later)
    chosen = assign(rows, columns, np.concatenate(costs), 0.0)
    origins = np.full(len(paths), -1)
    origins[columns[chosen]] = rows[chosen]
    return origins


def _surprise(path: Trajectory, others: list[Trajectory], gaps_s: FloatArray, wander: float) -> FloatArray:
    """Return the cost (K,) of each of K `others`, which begin `gaps_s` (K,) later, as the continuation of `path`.

    It is minus twice the logarithm of the probability density of the first state of the other, given the last of
    `path`, in units of the object's size; a new object has the density 1 per unit, whose cost is 0. The unit of speed
    is one size per second for walkers, and more in a scene with a larger `wander`.
    """
    if not others:
        return np.zeros(0)
    means = np.stack([other.means[0] for other in others])
    covariances = np.stack([other.covariances[0] for other in others])
    sizes = np.sqrt(size(means) * size(path.means[-1:]))
    step = transition(gaps_s)
    # d = y - F x;  S = F P F' + Q + P_y
    residual = means - step @ path.means[-1]
    spread = step @ path.covariances[-1] @ step.swapaxes(1, 2) + motion_noise(sizes, gaps_s, wander) + covariances
    part = sizes[:, None, None] ** 2 * np.diag([PART_PLACE**2, 0, PART_WIDTH**2, 0, 0, 0])
    whole, hidden = (_deviance(residual, noise, sizes) for noise in (spread, spread + part))
    # The contaminated normal of Tukey:  p(d) = (1 - h) N(d; S) + h N(d; S + V)
    likelihood = np.logaddexp(np.log(1 - PART_SHARE) - whole / 2, np.log(PART_SHARE) - hidden / 2)
    # - 2 ln u^2 with the unit of speed u
    surprise: FloatArray = -2 * likelihood - 4 * np.log(wander / WALKERS_WANDER)
    return surprise


def _deviance(residual: FloatArray, spread: FloatArray, sizes: FloatArray) -> FloatArray:
    """Return minus twice the log density (K,) of `residual` (K, 6) with the covariance `spread` (K, 6, 6)."""
    # -2 ln N(d; S) = d' S^-1 d + ln det(S / size^2)
    squared = (residual * np.linalg.solve(spread, residual[:, :, None])[:, :, 0]).sum(axis=1)
    deviance: FloatArray = squared + np.linalg.slogdet(spread / sizes[:, None, None] ** 2)[1]
    return deviance


def chains(origins: IntArray, begins: list[int]) -> list[list[int]]:
    """Return the pieces of each linked track in order of time.

    Each piece continues that in `origins` (N,), -1 for none, and `begins` in a frame (N,).
    """
    found: list[list[int]] = []
    chain_by_piece: dict[int, list[int]] = {}
    for piece in np.argsort(begins, kind="stable").tolist():
        if origins[piece] < 0:
            found.append([])
        chain_by_piece[piece] = chain_by_piece.get(int(origins[piece]), found[-1])
        chain_by_piece[piece].append(piece)
    return found


def link_by_appearance(
    ends: list[Trajectory],
    begins: list[Trajectory],
    class_ids: IntArray,
    features: FloatArray,
    *,
    frame_rate: float,
) -> IntArray:
    """Return for each of N tracks the index (N,) of the track that it continues by appearance alone, -1 for none.

    `begins` and `ends` are the first and the last piece of each track, `class_ids` (N,) its class, `features` (N, D)
    its mean features, zero if unknown. A track may continue one of its class that ended before it began, no farther
    away than an object gets in that time, if the mean cosine distance of their features is at most `MOST_UNLIKE`. Each
    is continued at most once.
    """
    origins = np.full(len(ends), -1)
    known = np.nonzero(features.any(axis=1))[0]
    if not len(known):
        return origins
    # The mean of all products of two sets of vectors is the product of their means.
    distance = 1 - features[known] @ features[known].T
    gaps_s = (np.array([begins[k].first for k in known]) - np.array([[ends[k].last] for k in known])) / frame_rate
    before, after = np.stack([ends[k].means[-1] for k in known]), np.stack([begins[k].means[0] for k in known])
    apart = np.linalg.norm(after[:, :2] - before[:, None, :2], axis=2) / size(before)[:, None]
    fits = (distance <= MOST_UNLIKE) & (gaps_s > 0) & (apart <= REACH_SIZES + REACH_SIZES_PER_S * gaps_s)
    rows, columns = (fits & (class_ids[known, None] == class_ids[known])).nonzero()
    chosen = assign(rows, columns, distance[rows, columns], MOST_UNLIKE)
    origins[known[columns[chosen]]] = known[rows[chosen]]
    return origins
