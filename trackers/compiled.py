"""Functions compiled by numba, each in place of the one in NumPy of its name: see `trackers.acceleration`.

They return the same to the bit: each number comes from the same operations in the same order, and only from those that
round alike everywhere, ``+ - * /`` and comparisons; of two zeros the positive one is the larger. They are compiled for
the types stated when this module is imported, kept on disk from then on, and run without the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import float64, int64, njit, types

from trackers.acceleration import NUMPY

if TYPE_CHECKING:
    from trackers.states import States
    from trackers.types import BoolArray, FloatArray, IntArray

Function = TypeVar("Function", bound=Callable[..., Any])

# Arrays of any layout, read only or not.
F1, F2, F3 = (types.Array(float64, dimensions, "A", readonly=True) for dimensions in (1, 2, 3))
I1 = types.Array(int64, 1, "A", readonly=True)
LARGEST = 2.0**53
PAIR = types.UniTuple(float64, 2)


def compiled(*arguments: types.Type) -> Callable[[Function], Function]:
    """Return a decorator that compiles a function of `arguments`; division by zero gives infinity, as in NumPy."""
    decorator: Callable[[Function], Function] = njit(arguments, cache=True, nogil=True, error_model="numpy")
    return decorator


def require_plausible(boxes: FloatArray, scores: FloatArray, class_ids: FloatArray) -> None:
    """Replaces `trackers.types.require_plausible`, which tells what it refuses."""
    if not _plausible(boxes, scores, class_ids):
        NUMPY["require_plausible"](boxes, scores, class_ids)


def predicted(
    states: States,
    position: FloatArray,
    velocity: FloatArray,
    elapsed: float | FloatArray,
    reach: float | FloatArray,
    kept: tuple[float, float],
    drift: tuple[float, float],
) -> States:
    """Replaces `trackers.states.predicted`, but for a time of its own for each track, which only OC-SORT needs."""
    predict: Callable[..., States] = NUMPY["predicted"] if isinstance(elapsed, np.ndarray) else _predicted
    return predict(states, position, velocity, elapsed, reach, kept, drift)


@compiled(F3, F2, F2, float64, float64, PAIR, PAIR)
def _predicted(
    states: States,
    position: FloatArray,
    velocity: FloatArray,
    n: float,
    reach: float,
    kept: tuple[float, float],
    drift: tuple[float, float],
) -> States:
    later = np.empty((5, 4, len(states)))
    drifts = drift[0] != 0 or drift[1] != 0
    for k in range(4):
        for i in range(len(states)):
            x, v, xx, xv, vv = states[i, 0, k], states[i, 1, k], states[i, 2, k], states[i, 3, k], states[i, 4, k]
            x, xx = x + reach * v, xx + reach * xv
            xv += reach * vv
            xx += reach * xv + n * position[i, k] + (n * (n - 1) * (2 * n - 1) / 6) * velocity[i, k]
            v, xv, vv = v * kept[0], xv * kept[0], vv * kept[1]
            xv += (n * (n - 1) / 2) * velocity[i, k]
            vv += n * velocity[i, k]
            if drifts and k < 2:
                x, v = x + (n - reach) * drift[k], v + (1 - kept[0]) * drift[k]
            later[0, k, i], later[1, k, i], later[2, k, i], later[3, k, i], later[4, k, i] = x, v, xx, xv, vv
    return later.transpose(2, 0, 1)


@compiled(F3, F2, F2, I1)
def corrected(states: States, measured: FloatArray, innovation: FloatArray, index: IntArray) -> States:
    """Replaces `trackers.states.corrected`."""
    if len(states) and not len(measured):
        raise IndexError("expected at least one measurement, found none")
    later = np.empty((5, 4, len(states)))
    for k in range(4):
        for i in range(len(states)):
            x, v, xx, xv, vv = states[i, 0, k], states[i, 1, k], states[i, 2, k], states[i, 3, k], states[i, 4, k]
            row = min(max(index[i], 0), len(measured) - 1)
            s = innovation[i, k] if index[i] >= 0 else np.inf
            gain, speed_gain, residual = xx / s, xv / s, measured[row, k] - x
            x, v = x + gain * residual, v + speed_gain * residual
            vv -= speed_gain * xv
            xx, xv = xx - gain * xx, xv - gain * xv
            later[0, k, i], later[1, k, i], later[2, k, i], later[3, k, i], later[4, k, i] = x, v, xx, xv, vv
    return later.transpose(2, 0, 1)


@compiled(F2, F1, F1)
def _plausible(boxes: FloatArray, scores: FloatArray, class_ids: FloatArray) -> bool:
    for score in scores:
        if not 0 <= score <= 1:
            return False
    for label in class_ids:
        if not 0 <= label <= LARGEST or np.floor(label) != label:
            return False
    for k in range(boxes.shape[1]):
        for i in range(len(boxes)):
            if not -LARGEST <= boxes[i, k] <= LARGEST:
                return False
    return True


@compiled(F2, float64)
def sides(values: FloatArray, least: float) -> FloatArray:
    """Replaces `trackers.kalman.sides`."""
    larger = np.empty((4, len(values)))
    for k in range(2):
        for i in range(len(values)):
            larger[k, i] = larger[k + 2, i] = np.maximum(values[i, k + 2], least)
    return larger.T


@compiled(F2)
def centre_size(boxes: FloatArray) -> FloatArray:
    """Replaces `trackers.kalman.centre_size`."""
    measured = np.empty((4, len(boxes)))
    for k in range(2):
        for i in range(len(boxes)):
            measured[k, i] = (boxes[i, k] + boxes[i, k + 2]) / 2
            measured[k + 2, i] = np.maximum(0.0, boxes[i, k + 2] - boxes[i, k])
    return measured.T


@compiled(F2, F2)
def corners(centres: FloatArray, sizes: FloatArray) -> FloatArray:
    """Replaces `trackers.kalman.corners`."""
    boxes = np.empty((4, len(centres)))
    for k in range(2):
        for i in range(len(centres)):
            half = np.maximum(0.0, sizes[i, k]) / 2
            boxes[k, i], boxes[k + 2, i] = centres[i, k] - half, centres[i, k] + half
    return boxes.T


@compiled(F2, F2, F2, F2)
def compared(
    begin: FloatArray, end: FloatArray, others_begin: FloatArray, others_end: FloatArray
) -> tuple[IntArray, IntArray]:
    """Replaces `trackers.candidates.compared`."""
    count, others = begin.shape[1], others_begin.shape[1]
    rows, columns, found = np.empty(count * others, np.int64), np.empty(count * others, np.int64), 0
    for i in range(count):
        for j in range(others):
            meet_x = begin[0, i] < others_end[0, j] and others_begin[0, j] < end[0, i]
            if meet_x and begin[1, i] < others_end[1, j] and others_begin[1, j] < end[1, i]:
                rows[found], columns[found] = i, j
                found += 1
    return rows[:found], columns[:found]


@compiled(F2, F2, F2, F2)
def swept(
    begin: FloatArray, end: FloatArray, others_begin: FloatArray, others_end: FloatArray
) -> tuple[IntArray, IntArray]:
    """Replaces `trackers.candidates.swept`."""
    order = others_begin[0].argsort(kind="mergesort")
    left = others_begin[0][order]
    widest = 0.0
    for j in range(len(left)):
        widest = np.maximum(widest, others_end[0, j] - others_begin[0, j])
    first, last = np.searchsorted(left, begin[0] - widest), np.searchsorted(left, end[0])
    most = np.maximum(last - first, 0).sum()
    rows, columns, found = np.empty(most, np.int64), np.empty(most, np.int64), 0
    for i in range(begin.shape[1]):
        for j in order[first[i] : last[i]]:
            if begin[1, i] < others_end[1, j] and others_begin[1, j] < end[1, i]:
                rows[found], columns[found] = i, j
                found += 1
    return rows[:found], columns[:found]


@compiled(F2, F2, F2, I1, I1)
def overlaps(
    ours: FloatArray, theirs: FloatArray, sides: FloatArray, rows: IntArray, columns: IntArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Replaces `trackers.association.overlaps`."""
    near, others, iou, found = np.empty_like(rows), np.empty_like(rows), np.empty(len(rows)), 0
    for i, j in zip(rows, columns):  # noqa: B905  numba knows no strict
        common_x = np.minimum(ours[2, i], theirs[2, j]) - np.maximum(ours[0, i], theirs[0, j]) + sides[0, i]
        common_y = np.minimum(ours[3, i], theirs[3, j]) - np.maximum(ours[1, i], theirs[1, j]) + sides[1, i]
        if common_x > 0 and common_y > 0:
            area = (ours[2, i] - ours[0, i] + sides[0, i]) * (ours[3, i] - ours[1, i] + sides[1, i])
            other = (theirs[2, j] - theirs[0, j] + sides[0, i]) * (theirs[3, j] - theirs[1, j] + sides[1, i])
            overlap = common_x * common_y
            near[found], others[found], iou[found] = i, j, overlap / (area + other - overlap)
            found += 1
    return near[:found], others[:found], iou[:found]


@compiled(I1, I1)
def unrivalled(rows: IntArray, columns: IntArray) -> BoolArray:
    """Replaces `trackers.assignment.unrivalled`."""
    last_row, last_column = 0, 0
    for i, j in zip(rows, columns):  # noqa: B905
        last_row, last_column = max(last_row, i), max(last_column, j)
    in_row, in_column = np.zeros(last_row + 1, np.int64), np.zeros(last_column + 1, np.int64)
    for i, j in zip(rows, columns):  # noqa: B905
        in_row[i] += 1
        in_column[j] += 1
    alone = np.empty(len(rows), np.bool_)
    for pair in range(len(rows)):
        alone[pair] = in_row[rows[pair]] == 1 and in_column[columns[pair]] == 1
    return alone


@compiled(types.Array(float64, 2, "A"), I1, I1, I1, F1)
def count_votes(votes: FloatArray, rows: IntArray, labels: IntArray, class_ids: IntArray, scores: FloatArray) -> None:
    """Replaces `trackers.tracks.count_votes`."""
    for k in range(len(rows)):
        for column in range(len(labels)):
            if labels[column] == class_ids[k]:
                votes[rows[k], column] += scores[k]
                break


@compiled(F3, F2, F2, I1, I1)
def sighted(
    states: States, innovation: FloatArray, measured: FloatArray, rows: IntArray, index: IntArray
) -> FloatArray:
    """Replaces `trackers.scene.sighted`."""
    sightings = np.empty((8, len(rows)))
    for i in range(len(rows)):
        row = rows[i]
        for k, number in enumerate((0, 1, 3)):
            sightings[k, i] = measured[index[i], number] - states[row, 0, number]
            sightings[3 + k, i] = innovation[row, number]
        for k in range(2):
            sightings[6 + k, i] = states[row, 1, k]
    return sightings


@compiled(F3, F2, F2, I1, I1)
def depth_distances(
    states: States, innovation: FloatArray, measured: FloatArray, rows: IntArray, columns: IntArray
) -> FloatArray:
    """Replaces `trackers.places.depth_distances`."""
    distances = np.empty(len(rows))
    for pair in range(len(rows)):
        i, j = rows[pair], columns[pair]
        dy, dh = measured[j, 1] - states[i, 0, 1], measured[j, 3] - states[i, 0, 3]
        distances[pair] = dy * dy / innovation[i, 1] + dh * dh / innovation[i, 3]
    return distances


@compiled(F3, I1, PAIR, float64, float64, float64)
def in_view(
    states: States, rows: IntArray, image_size: tuple[float, float], uncertain: float, leaving: float, least: float
) -> BoolArray:
    """Replaces `trackers.places.in_view`."""
    shown = np.ones(len(rows), np.bool_)
    for k in range(2):
        for i in range(len(rows)):
            centre, speed, variance = states[rows[i], 0, k], states[rows[i], 1, k], states[rows[i], 2, k]
            size = np.maximum(states[rows[i], 0, k + 2], least)
            front = centre + (np.copysign(size / 2, speed) if abs(speed) > leaving * size else 0.0)
            uncertainty = uncertain * size
            known = uncertainty * uncertainty > variance
            shown[i] &= known and 0 < centre < image_size[k] and 0 < front < image_size[k]
    return shown
