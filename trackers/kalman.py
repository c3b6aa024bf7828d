"""Constant-velocity Kalman filters of boxes described by centre and size.

A box is four numbers: the centre in px and two that describe the size. The filters differ in these two and in the
noise: `WidthHeightFilter` (BoT-SORT, arXiv 2206.14651, section 3.1), `AspectHeightFilter` (ByteTrack, arXiv 2110.06864,
after DeepSORT, arXiv 1703.07402) and `AreaAspectFilter` (SORT, arXiv 1602.00763).

No filter of these papers couples the four numbers; `trackers.states` holds the estimates and their equations.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from trackers.acceleration import accelerated
from trackers.states import SPEED_VARIANCE, VALUE, VARIANCE, States, corrected, no_states, predicted, relaxation
from trackers.types import FloatArray, IntArray

POSITION_STD = 1 / 20  # of the box's size
VELOCITY_STD = 1 / 160  # of the box's size, per frame period
SIDES, HEIGHTS = np.array([2, 3, 2, 3]), np.array([3, 3, 3, 3])  # the numbers that the noise of each is relative to
MIN_SIZE_PX = 1.0  # a smaller box is as uncertain as this one, so that no variance becomes zero


class Noise(NamedTuple):
    """Standard deviations of the four numbers, relative to a filter's `scale`, f64 (4,) each, or one for all four.

    `position` and `velocity` are the process noise of one frame period, `measurement` that of a detected box,
    `first_velocity` the uncertainty of the velocity of a new track.
    """

    position: float | FloatArray
    velocity: float | FloatArray
    measurement: float | FloatArray
    first_velocity: float | FloatArray


class KalmanFilter(ABC):
    """The steps of a filter; a subclass defines the four numbers of a box. Stateless: estimates in, estimates out."""

    def __init__(self, noise: Noise) -> None:
        self._variance = Noise(*(deviation**2 for deviation in noise))

    @abstractmethod
    def measure(self, boxes: FloatArray) -> FloatArray:
        """Return the measurements (N, 4), the filter's four numbers, of `boxes` (N, 4) x1, y1, x2, y2 in px."""

    @abstractmethod
    def boxes(self, states: States) -> FloatArray:
        """Return the boxes (N, 4) x1, y1, x2, y2 in px of `states`; no width or height is negative."""

    @abstractmethod
    def scale(self, values: FloatArray) -> FloatArray:
        """Return the factor (N, 4) of the noise of `values` (N, 4), which `Noise` is relative to."""

    @abstractmethod
    def size_scale(self, scale: float) -> tuple[float, float]:
        """Return the factors of the two size numbers when the image is magnified by `scale`."""

    def initiate(self, boxes: FloatArray) -> States:
        """Return estimates at rest in `boxes` (N, 4), the deviation of the values twice that of one period."""
        measured = self.measure(boxes)
        squared = self.scale(measured) ** 2
        states = no_states(len(boxes))
        states[:, VALUE] = measured
        states[:, VARIANCE] = 4 * self._variance.position * squared
        states[:, SPEED_VARIANCE] = self._variance.first_velocity * squared
        return states

    def predict(
        self,
        states: States,
        elapsed: float | FloatArray,
        *,
        agility: float = 1.0,
        decay: float = 0.0,
        drift: tuple[float, float] = (0.0, 0.0),
    ) -> States:
        """Return the estimates `elapsed` nominal frame periods later, a number or one per track (N, 1).

        `agility` is a factor of the variance of the velocity's noise; `decay` is the rate, per period, at which
        velocities tend to zero, those of the centre to `drift` in px per period, for one `elapsed` of all tracks.

        The noise is the sum over the single periods, so that one prediction over n periods equals n predictions over
        one, but for the noise of decaying velocities; the closed form of that sum also holds for fractions of a period.
        """
        squared = self.scale(states[:, VALUE]) ** 2
        position, velocity = self._variance.position * squared, agility * self._variance.velocity * squared
        reach, kept = relaxation(float(elapsed), decay) if decay else (elapsed, 1.0)
        return predicted(states, position, velocity, elapsed, reach, (kept, kept**2), drift)

    def update(
        self, states: States, measured: FloatArray, innovation: FloatArray, index: IntArray | None = None
    ) -> States:
        """Return the estimates corrected by a measurement each, given their `innovation`.

        That is the row of `measured` (M, 4) in `index` (N,); where it is -1, the estimate stays as it is. Without an
        index, M = N and each has the measurement in its row.
        """
        return corrected(states, measured, innovation, np.arange(len(states)) if index is None else index)

    def innovation(self, states: States, scale: FloatArray | None = None) -> FloatArray:
        """Return the innovation variance (N, 4): that of the difference between a measurement and `states`.

        `scale` (N, 4) is that of `states` if it is known already.
        """
        noise = self._variance.measurement * (self.scale(states[:, VALUE]) if scale is None else scale) ** 2
        variance: FloatArray = states[:, VARIANCE] + noise
        return variance

    def warp(self, states: States, affine: FloatArray) -> States:
        """Return the estimates moved by `affine` (2, 3), which leads from the last image to this one, in px.

        Positions and velocities are rotated and scaled, sizes only scaled: BoT-SORT (section 3.2) rotates the size as
        if it were a vector, which exchanges width for height when a camera rolls. A roll also couples x with y; that
        small covariance is dropped, so that pans and zooms are exact and a roll by an angle a is exact to first order.
        """
        linear, shift = affine[:, :2], affine[:, 2]
        scales = np.array(self.size_scale(float(np.sqrt(abs(np.linalg.det(linear))))))
        warped = no_states(len(states))
        # m <- W m + t;  var <- (W o W) var
        warped[:, :VARIANCE, :2] = states[:, :VARIANCE, :2] @ linear.T
        warped[:, VARIANCE:, :2] = states[:, VARIANCE:, :2] @ (linear**2).T
        warped[:, :VARIANCE, 2:] = states[:, :VARIANCE, 2:] * scales
        warped[:, VARIANCE:, 2:] = states[:, VARIANCE:, 2:] * scales**2
        warped[:, VALUE, :2] += shift
        return warped


class WidthHeightFilter(KalmanFilter):
    """(x, y, w, h) in px; horizontal noise is proportional to the width, vertical noise to the height.

    `position_std` and `velocity_std` are the process noise, `first_velocity_std` the uncertainty of the velocity of a
    new track, all as shares of the size, the velocities per frame period.
    """

    def __init__(
        self,
        position_std: float = POSITION_STD,
        velocity_std: float = VELOCITY_STD,
        first_velocity_std: float = 10 * VELOCITY_STD,
    ) -> None:
        super().__init__(Noise(position_std, velocity_std, POSITION_STD, first_velocity_std))

    def measure(self, boxes: FloatArray) -> FloatArray:
        """Return (x, y, w, h) of `boxes`."""
        return centre_size(boxes)

    def boxes(self, states: States) -> FloatArray:
        """Return the corners of (x, y, w, h)."""
        return corners(states[:, VALUE, :2], states[:, VALUE, 2:])

    def scale(self, values: FloatArray) -> FloatArray:
        """Return width, height, width, height."""
        return sides(values, MIN_SIZE_PX)

    def size_scale(self, scale: float) -> tuple[float, float]:
        """Return `scale` for both sides."""
        return scale, scale


class AspectHeightFilter(KalmanFilter):
    """(x, y, w / h, h); the noise is proportional to the height, but for the aspect ratio, which hardly changes."""

    def __init__(self) -> None:
        super().__init__(
            Noise(
                position=np.array([POSITION_STD, POSITION_STD, 1e-2, POSITION_STD]),
                velocity=np.array([VELOCITY_STD, VELOCITY_STD, 1e-5, VELOCITY_STD]),
                measurement=np.array([POSITION_STD, POSITION_STD, 1e-1, POSITION_STD]),
                first_velocity=10 * np.array([VELOCITY_STD, VELOCITY_STD, 1e-5, VELOCITY_STD]),
            )
        )

    def measure(self, boxes: FloatArray) -> FloatArray:
        """Return (x, y, w / h, h) of `boxes`."""
        measured = centre_size(boxes)
        measured[:, 2] /= np.maximum(measured[:, 3], MIN_SIZE_PX)
        return measured

    def boxes(self, states: States) -> FloatArray:
        """Return the corners of (x, y, w / h, h)."""
        aspect, height = states[:, VALUE, 2:3], states[:, VALUE, 3:4]
        return corners(states[:, VALUE, :2], np.hstack([aspect * height, height]))

    def scale(self, values: FloatArray) -> FloatArray:
        """Return the height, and 1 for the aspect ratio."""
        scale = np.maximum(values.T.take(HEIGHTS, axis=0), MIN_SIZE_PX).T
        scale[:, 2] = 1
        return scale

    def size_scale(self, scale: float) -> tuple[float, float]:
        """Return 1 for the aspect ratio and `scale` for the height."""
        return 1.0, scale


class AreaAspectFilter(KalmanFilter):
    """(x, y, w * h, w / h), the aspect ratio without a velocity; the noise is the same for every box.

    The state is SORT's (arXiv 1602.00763, section 3.1); the paper leaves the noise open, customary values are used.
    """

    def __init__(self) -> None:
        super().__init__(
            Noise(
                position=np.array([1.0, 1.0, 1.0, 1.0]),
                velocity=np.array([0.1, 0.1, 0.01, 0.0]),
                measurement=np.array([1.0, 1.0, 10**0.5, 10**0.5]),
                first_velocity=np.array([100.0, 100.0, 100.0, 0.0]),
            )
        )

    def measure(self, boxes: FloatArray) -> FloatArray:
        """Return (x, y, w * h, w / h) of `boxes`, each at least a pixel wide and high."""
        measured = centre_size(boxes)
        width, height = np.maximum(measured[:, 2:], MIN_SIZE_PX).T
        measured[:, 2:] = np.column_stack([width * height, width / height])
        return measured

    def boxes(self, states: States) -> FloatArray:
        """Return the corners of (x, y, w * h, w / h)."""
        # s = w h, r = w / h:  w = sqrt(s r), h = sqrt(s / r)
        area, aspect = np.maximum(states[:, VALUE, 2], 0), states[:, VALUE, 3]
        return corners(states[:, VALUE, :2], np.sqrt(np.column_stack([area * aspect, area / aspect])))

    def scale(self, values: FloatArray) -> FloatArray:
        """Return 1 for all."""
        return np.ones_like(values)

    def size_scale(self, scale: float) -> tuple[float, float]:
        """Return the square of `scale` for the area and 1 for the aspect ratio."""
        return scale**2, 1.0


@accelerated
def sides(values: FloatArray, least: float) -> FloatArray:
    """Return width, height, width, height (N, 4) of `values` (N, 4) x, y, w, h, each at least `least`."""
    return np.maximum(values.T.take(SIDES, axis=0), least).T  # in a quarter of the time of np.tile


@accelerated
def centre_size(boxes: FloatArray) -> FloatArray:
    """Return centre and size (N, 4) x, y, w, h of `boxes` (N, 4); no size is negative."""
    measured, begin, end = np.empty((4, len(boxes))), boxes.T[:2], boxes.T[2:]
    np.divide(begin + end, 2, out=measured[:2])
    np.maximum(end - begin, 0, out=measured[2:])
    return measured.T


@accelerated
def corners(centres: FloatArray, sizes: FloatArray) -> FloatArray:
    """Return boxes (N, 4) x1, y1, x2, y2 around `centres` (N, 2); a negative size counts as 0."""
    boxes, middle, half = np.empty((4, len(centres))), centres.T, np.maximum(sizes.T, 0) / 2
    np.subtract(middle, half, out=boxes[:2])
    np.add(middle, half, out=boxes[2:])
    return boxes.T
