"""Anchors that suit the boxes of a dataset: k-means, then evolution, and the rule when to take them.

Boxes and anchors are compared by shape alone, ``(width, height)`` in model px: they match as well as the worse of the
two ratios, m = min(w / w_a, w_a / w, h / h_a, h_a / h), in (0, 1]. What is learned of a box is up to the anchors that
it matches by more than 1 / 4 (see `streamdet.train.anchor_loss`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.cluster.vq import kmeans

from streamdet.errors import InputError
from streamdet.models.anchor_head import AnchorDetect
from streamdet.types import Float64Array

MAX_RATIO = 4.0
SUFFICIENT_RECALL = 0.98
GENERATIONS = 1000
MIN_SIDE_PX = 2.0  # anchors are not smaller, and boxes that are smaller do not count

Sizes = Float64Array


class AnchorFit(NamedTuple):
    """The best possible recall of the anchors that a head had and of those that it has now."""

    before: float
    after: float


def fit_anchors(head: AnchorDetect, sizes_px: npt.ArrayLike, *, seed: int = 0) -> AnchorFit:
    """Give `head` anchors that suit boxes of `sizes_px` (N, 2), if its own do not and the new ones do better.

    Its own suit when their best possible recall is above 0.98. The same `seed` gives the same anchors; on 10,000 boxes
    it takes seconds. Raises InputError when no box has sides of 2 px.
    """
    own = head.anchors_px.cpu().numpy().reshape(-1, 2)
    before = best_possible_recall(own, sizes_px)
    if before > SUFFICIENT_RECALL:
        return AnchorFit(before, before)
    evolved = evolve(kmeans_anchors(sizes_px, len(own)), sizes_px, seed=seed)
    after = best_possible_recall(evolved, sizes_px)
    if after <= before:
        return AnchorFit(before, before)
    _set_anchors(head, evolved)
    return AnchorFit(before, after)


def kmeans_anchors(sizes_px: npt.ArrayLike, count: int) -> Sizes:
    """Return `count` anchors (count, 2), smallest area first: the centres of clusters of `sizes_px` (N, 2).

    Width and height are clustered in units of their standard deviation, from boxes spread evenly over all areas.
    """
    sizes = _countable(sizes_px)
    spread = np.where(sizes.std(0) > 0, sizes.std(0), 1)
    by_area = _by_area(sizes)
    start = by_area[np.linspace(0, len(sizes) - 1, count).round().astype(int)] / spread
    centers, _ = kmeans(sizes / spread, start)
    # Clusters that lost all their boxes to others are left out: their places are filled with where they began.
    return _by_area(np.concatenate([centers, start])[:count] * spread)


def evolve(
    anchors_px: npt.ArrayLike, sizes_px: npt.ArrayLike, *, seed: int = 0, generations: int = GENERATIONS
) -> Sizes:
    """Return anchors (K, 2), smallest area first, of at least the `fitness` of `anchors_px` (K, 2).

    Every generation is one random change of the best so far, kept if it is fitter: the genetic algorithm of YOLOv5's
    autoanchor, which knows mutation and selection only.
    """
    rng = np.random.default_rng(seed)
    sizes = _countable(sizes_px)
    best = np.asarray(anchors_px, np.float64)
    best_fitness = fitness(best, sizes)
    for _ in range(generations):
        # Nine sides of ten change, by a factor near 1; how near is drawn anew every time.
        change = rng.standard_normal(best.shape) * rng.random() * 0.1
        factor = np.where(rng.random(best.shape) < 0.9, 1 + change, 1).clip(0.3, 3)
        child = (best * factor).clip(MIN_SIDE_PX)
        child_fitness = fitness(child, sizes)
        if child_fitness > best_fitness:
            best, best_fitness = child, child_fitness
    return _by_area(best)


def fitness(anchors_px: npt.ArrayLike, sizes_px: npt.ArrayLike) -> float:
    """Return the mean, over the boxes, of the best match that an anchor gives, 0 where it is no more than 1 / 4."""
    best = _best_match(anchors_px, sizes_px)
    return float(np.where(best > 1 / MAX_RATIO, best, 0).mean())


def best_possible_recall(anchors_px: npt.ArrayLike, sizes_px: npt.ArrayLike, ratio: float = MAX_RATIO) -> float:
    """Return the share of boxes `sizes_px` (N, 2) that differ from some anchor (K, 2) by less than `ratio`."""
    return float((_best_match(anchors_px, sizes_px) > 1 / ratio).mean())


def _best_match(anchors_px: npt.ArrayLike, sizes_px: npt.ArrayLike) -> Float64Array:
    """Return the best match (N,) of each box with an anchor."""
    sizes, anchors = np.log(_countable(sizes_px)), np.log(np.asarray(anchors_px, np.float64))
    # min(w / w_a, w_a / w, h / h_a, h_a / h) = exp(-max(|ln w - ln w_a|, |ln h - ln h_a|))
    width, height = (np.abs(sizes[:, side, None] - anchors[:, side]) for side in (0, 1))
    nearest: Float64Array = np.exp(-np.maximum(width, height).min(1))
    return nearest


def _countable(sizes_px: npt.ArrayLike) -> Sizes:
    sizes = np.asarray(sizes_px, np.float64).reshape(-1, 2)
    sizes = sizes[(sizes >= MIN_SIDE_PX).all(1)]
    if not len(sizes):
        raise InputError(f"expected labelled boxes with sides of at least {MIN_SIDE_PX:g} px, found none")
    return sizes


def _by_area(sizes: Sizes) -> Sizes:
    return sizes[np.argsort(sizes.prod(1), kind="stable")]


def _set_anchors(head: AnchorDetect, anchors_px: Sizes) -> None:
    """Replace the anchors of `head`, the smallest going to the finest level."""
    sizes = torch.as_tensor(anchors_px).view_as(head.anchors)
    head.anchors.copy_(sizes / torch.tensor(head.strides_px)[:, None, None])
