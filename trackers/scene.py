"""What the default tracker learns of a scene: how abruptly objects move and heights change, and what they share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from trackers.acceleration import accelerated
from trackers.states import SPEED, VALUE, States
from trackers.types import FloatArray, IntArray

# Covariance matching (Mehra, Approaches to adaptive filtering, IEEE Transactions on Automatic Control 17, 1972).
EXPECTED_SURPRISE = 0.35  # mean of the normalised innovations, squared, where the noise suits; detections are no Gauss
LARGEST_SURPRISE = 9.0  # a normalised innovation, squared, counts as this at most: three deviations
STEP = 0.2  # of the logarithm of the noise, for a surprise that is 1 too high
FULL_STEP_TRACKS = 10  # fewer say less
EXPECTED_DEPTH_SURPRISE = 0.25  # the same of the two numbers that show depth
DEPTH_STEP = 0.1  # of the logarithm of their factor: the heights of a few frames say little of a scene
MOST_AGILE = math.log(64.0)  # of the variance: the deviation is 8 times that of a walker
FEWEST_IN_COMMON = 7  # tracks: what fewer share may be chance
DOUBT = 3.0  # of the squared ratio of a common shift to its standard error: one as large is believed by half
MEDIAN_VARIANCE = math.pi / 2  # of the median of N normal numbers, relative to that of their mean
Vector = tuple[float, float]
STILL: Vector = (0.0, 0.0)
Number = TypeVar("Number", float, FloatArray)
MAD_STD = 1.4826  # standard deviation of normal numbers, relative to their median absolute deviation


class Sightings:
    """N tracks of known velocity in one frame, as `rows` f64 (8, N): shifts and variances of x, y and height, speeds.

    Shifts in px lead from where the tracks were expected to where they are detected, with the variances that the filter
    expects; speeds of x and y are the predicted ones, in px per period of the motion. `count` is N, and `medians` are
    those of the rows, if there are any tracks.
    """

    def __init__(self, rows: FloatArray) -> None:
        self.rows = rows
        self.count = rows.shape[1]
        self.medians = medians(rows) if self.count else []

    @property
    def speed(self) -> Vector:
        """The median speed."""
        return self.medians[6], self.medians[7]


@accelerated
def sighted(
    states: States, innovation: FloatArray, measured: FloatArray, rows: IntArray, index: IntArray
) -> FloatArray:
    """Return the rows (8, K) of `Sightings` of tracks `rows` (K,), seen as the `measured` (M, 4) in `index` (K,)."""
    expected, variances = states[:, VALUE].T.take(rows, axis=1), innovation.T.take(rows, axis=1)
    shifts = measured.T.take(index, axis=1) - expected
    speeds = states[:, SPEED, :2].T.take(rows, axis=1)
    return np.concatenate([shifts[:2], shifts[3:], variances[:2], variances[3:], speeds])


@dataclass(slots=True)
class SceneMotion:
    """How the objects of a scene move.

    - `logarithm`: that of the factor of the variance of the velocity's noise, from 0, where objects move as steadily as
      walkers, to `MOST_AGILE`.
    - `drift`: the velocity that they have in common, in px per period of the motion.
    - `depth_logarithm`: that of the factor of the variance of the numbers that show depth, from 0, where these are as
      steady as those of walkers, to `MOST_AGILE`.
    """

    logarithm: float = 0.0
    drift: Vector = STILL
    depth_logarithm: float = 0.0

    @property
    def agility(self) -> float:
        """The factor of the variance of the velocity's noise, at least 1."""
        return math.exp(self.logarithm)

    @property
    def steadiness(self) -> float:
        """How much a prediction is worth beside one of a walker, from 1 down to 1/8."""
        return math.exp(-self.logarithm / 2)

    @property
    def depth_steadiness(self) -> float:
        """How much the place in depth says beside that of a walker, at most 1."""
        return self.steadiness * math.exp(-self.depth_logarithm)

    def observe(self, sightings: Sightings, moved: Vector = STILL) -> None:
        """Learn from the `sightings` of one frame, after all tracks were `moved`, in px."""
        self.drift = sightings.speed if sightings.count >= FEWEST_IN_COMMON else STILL
        if sightings.count:
            shifts, variances = sightings.rows[:3], sightings.rows[3:6]
            if any(moved):
                shifts = shifts - np.array([[*moved, 0.0]]).T
            x, y, height = np.minimum(shifts**2 / variances, LARGEST_SURPRISE).sum(axis=1).tolist()
            share = min(sightings.count / FULL_STEP_TRACKS, 1.0)
            surprise, depth_surprise = (x + y) / (2 * sightings.count), (y + height) / (2 * sightings.count)
            self.logarithm = _within_range(self.logarithm + STEP * share * (surprise - EXPECTED_SURPRISE))
            depth_excess = depth_surprise * math.exp(-self.depth_logarithm) - EXPECTED_DEPTH_SURPRISE
            self.depth_logarithm = _within_range(self.depth_logarithm + DEPTH_STEP * share * depth_excess)

    def state(self) -> FloatArray:
        """Return the state (4,) for `restored`."""
        return np.array([self.logarithm, *self.drift, self.depth_logarithm])

    @classmethod
    def restored(cls, state: FloatArray | IntArray) -> SceneMotion:
        """Return the motion that returned `state`; raises ValueError for what none returns."""
        is_number = state.shape in ((3,), (4,)) and state.dtype.kind in "if"  # earlier versions kept no depth
        if not is_number or not np.isfinite(state).all() or not ((state[::3] >= 0) & (state[::3] <= MOST_AGILE)).all():
            raise ValueError("expected the state of a tracker, found a scene that no tracker leaves")
        logarithm, x, y, *depth = map(float, state)
        return cls(logarithm, (x, y), *depth)


def _within_range(logarithm: float) -> float:
    return min(max(logarithm, 0.0), MOST_AGILE)


def common_shift(sightings: Sightings) -> Vector:
    """Return what the shifts of `sightings` have in common, in px.

    It is their median, the smaller the less certain, and zero for few objects: when a camera turns all are shifted
    alike, and otherwise each by itself.
    """
    if sightings.count < FEWEST_IN_COMMON:
        return STILL
    shift, variances = sightings.medians[:2], sightings.medians[3:5]
    deviations = medians(np.abs(sightings.rows[:2] - np.array(shift)[:, None]))
    x, y = map(partial(believed, sightings.count), shift, deviations, variances)
    return x, y


def believed(count: float, shift: Number, deviation: Number, variance: float) -> Number:
    """Return the median `shift` of `count` tracks, scaled down by its uncertainty.

    `deviation` is their median absolute deviation, `variance` that of one place beside it.
    """
    error = MEDIAN_VARIANCE * ((MAD_STD * deviation) ** 2 + variance) / count
    # m <- m m^2 / (m^2 + k e^2)
    return shift**3 / (shift**2 + DOUBT * error)


def medians(values: FloatArray) -> list[float]:
    """Return the medians of the rows of `values` (K, N), in a fifth of the time that NumPy's function takes."""
    ordered, count = values.copy(), values.shape[1]
    ordered.sort(axis=1)
    middle: list[float] = ((ordered[:, (count - 1) // 2] + ordered[:, count // 2]) / 2).tolist()
    return middle
