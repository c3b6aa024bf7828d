"""Places of tracks beside those of detections, in depth and in reach, and in the image."""

from __future__ import annotations

import numpy as np

from trackers.acceleration import accelerated
from trackers.association import overlapping
from trackers.states import SPEED, VALUE, VARIANCE, States
from trackers.types import BoolArray, FloatArray, IntArray

DEPTH = slice(1, 4, 2)  # the numbers of a state that show depth: the height in the image, and the height of the box


@accelerated
def depth_distances(
    states: States, innovation: FloatArray, measured: FloatArray, rows: IntArray, columns: IntArray
) -> FloatArray:
    """Return the squared distances (K,), in standard deviations, in which tracks and detections differ in depth."""
    seen, expected = measured[:, DEPTH].T.take(columns, axis=1), states[:, VALUE, DEPTH].T.take(rows, axis=1)
    # d2 = (z - x)' S^-1 (z - x)
    squared = (seen - expected) ** 2 / innovation[:, DEPTH].T.take(rows, axis=1)
    distances: FloatArray = squared[0] + squared[1]
    return distances


@accelerated
def in_view(
    states: States, rows: IntArray, image_size: tuple[float, float], uncertain: float, leaving: float, least: float
) -> BoolArray:
    """Return which of the tracks `rows` (K,) are in the image, at a place that is known, and do not leave it.

    A place is known up to a standard deviation of `uncertain` of the size, and a track that is faster than `leaving` of
    it leaves the image with its front; a size counts as `least` px at least.
    """
    estimates = states.transpose(1, 2, 0).take(rows, axis=2)
    centres, speeds = estimates[VALUE, :2], estimates[SPEED, :2]
    sizes, ends = np.maximum(estimates[VALUE, 2:], least), np.array(image_size)[:, None]
    known = (uncertain * sizes) ** 2 > estimates[VARIANCE, :2]
    leaves = np.abs(speeds) > leaving * sizes
    fronts = centres + np.copysign(sizes / 2, speeds) * leaves
    inside = (np.minimum(centres, fronts) > 0) & (np.maximum(centres, fronts) < ends)
    along_x, along_y = known & inside
    visible: BoolArray = along_x & along_y
    return visible


def within(reach: FloatArray, centres: FloatArray, others: FloatArray) -> tuple[IntArray, IntArray]:
    """Return rows and columns (K,), ascending, of `centres` (N, 2) and `others` (M, 2) closer than `reach` (N,) px."""
    squares = np.hstack([centres - reach[:, None], centres + reach[:, None]])
    near = overlapping(squares, np.hstack([others - 1, others + 1]))  # of 2 px, as a point overlaps nothing
    distance = np.linalg.norm(centres[near.rows] - others[near.columns], axis=1)
    pairs = near.select(distance < reach[near.rows])
    order = np.lexsort((pairs.columns, pairs.rows))
    return pairs.rows[order], pairs.columns[order]
