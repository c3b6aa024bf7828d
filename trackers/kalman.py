"""Constant-velocity Kalman filter over all tracks at once, for boxes described by centre and size.

The state of a track is ``(x, y, a, b, x', y', a', b')``: the centre in px, two numbers that describe the size, and
their change per nominal frame period. What the size is and how noisy it is tells the two filters apart:
`WidthHeightFilter` (BoT-SORT, arXiv 2206.14651, section 3.1) and `AspectHeightFilter` (ByteTrack, arXiv 2110.06864,
after DeepSORT, arXiv 1703.07402).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from trackers.rows import FloatArray

POSITION_STD = 1 / 20  # of the box's size
VELOCITY_STD = 1 / 160  # of the box's size, per frame period
ASPECT_STD = 1e-2
ASPECT_VELOCITY_STD = 1e-5
ASPECT_MEASUREMENT_STD = 1e-1
MIN_SIZE_PX = 1.0  # a smaller box is as uncertain as this one, so that no covariance becomes singular


class Gaussians(NamedTuple):
    """N independent estimates: `means` f64 (N, 8), `covariances` f64 (N, 8, 8)."""

    means: FloatArray
    covariances: FloatArray


class Deviations(NamedTuple):
    """Standard deviations, f64 (N, 4) each: of a frame period's motion, of its change of velocity, of a measurement."""

    position: FloatArray
    velocity: FloatArray
    measurement: FloatArray


class KalmanFilter(ABC):
    """The filter's equations; a subclass says how a box is measured. Stateless: estimates go in and come out."""

    @abstractmethod
    def measure(self, boxes: FloatArray) -> FloatArray:
        """Return what `boxes` (N, 4) x1, y1, x2, y2 look like as measurements (N, 4)."""

    @abstractmethod
    def boxes(self, means: FloatArray) -> FloatArray:
        """Return the boxes (N, 4) x1, y1, x2, y2 in px of `means` (N, 8); a size never comes out negative."""

    @abstractmethod
    def deviations(self, states: FloatArray) -> Deviations:
        """Return the noise that belongs to `states` (N, 4 or 8); it is proportional to the size of the box."""

    @abstractmethod
    def size_scale(self, scale: float) -> tuple[float, float]:
        """Return the factors of the two size components when the image is magnified by `scale`."""

    def initiate(self, boxes: FloatArray) -> Gaussians:
        """Return estimates at rest in `boxes` (N, 4), 2 (place) and 10 (velocity) times as uncertain as one step."""
        measured = self.measure(boxes)
        noise = self.deviations(measured)
        means = np.hstack([measured, np.zeros_like(measured)])
        return Gaussians(means, _diagonal(np.hstack([2 * noise.position, 10 * noise.velocity]) ** 2))

    def predict(self, means: FloatArray, covariances: FloatArray, elapsed: float) -> Gaussians:
        """Return the estimates `elapsed` nominal frame periods later."""
        transition = np.eye(8) + elapsed * np.eye(8, k=4)
        # m <- F m;  P <- F P F' + Q
        noise = self.process_noise(means, elapsed)
        return Gaussians(means @ transition.T, transition @ covariances @ transition.T + noise)

    def process_noise(self, means: FloatArray, elapsed: float) -> FloatArray:
        """Return Q (N, 8, 8) of `elapsed` frame periods.

        It is the sum over the single periods, so that one prediction over n periods equals n predictions over one; the
        closed form of that sum also serves fractions of a period.
        """
        noise = self.deviations(means)
        position, velocity = noise.position**2, noise.velocity**2
        n = elapsed
        # Q(n) = sum over k < n of F^k diag(q_x, q_v) F^k'
        spread = n * position + n * (n - 1) * (2 * n - 1) / 6 * velocity
        cross = n * (n - 1) / 2 * velocity
        covariances = _diagonal(np.hstack([spread, n * velocity]))
        axes = np.arange(4)
        covariances[:, axes, axes + 4] = covariances[:, axes + 4, axes] = cross
        return covariances

    def update(self, means: FloatArray, covariances: FloatArray, boxes: FloatArray) -> Gaussians:
        """Return the estimates corrected by one measured box each, `boxes` (N, 4)."""
        noise = self.deviations(means).measurement
        cross = covariances[:, :4]
        # S = H P H' + R;  K = P H' S^-1
        innovation = covariances[:, :4, :4] + _diagonal(noise**2)
        gain = np.linalg.solve(innovation, cross).transpose(0, 2, 1)
        # m <- m + K (z - H m);  P <- P - K H P
        residual = self.measure(boxes) - means[:, :4]
        covariances = covariances - gain @ cross
        return Gaussians(
            means + (gain @ residual[:, :, None])[:, :, 0],
            (covariances + covariances.transpose(0, 2, 1)) / 2,
        )

    def warp(self, means: FloatArray, covariances: FloatArray, affine: FloatArray) -> Gaussians:
        """Return the estimates in the image that `affine` (2, 3) leads to from the one they are in.

        Places and velocities are turned and scaled, sizes only scaled: the paper (section 3.2) turns the size as if it
        were a vector, which exchanges width for height when a camera rolls.
        """
        linear, shift = affine[:, :2], affine[:, 2]
        block = np.zeros((4, 4))
        block[:2, :2] = linear
        block[2:, 2:] = np.diag(self.size_scale(float(np.sqrt(abs(np.linalg.det(linear))))))
        # m <- W m + t;  P <- W P W'
        matrix = np.kron(np.eye(2), block)
        means = means @ matrix.T
        means[:, :2] += shift
        return Gaussians(means, matrix @ covariances @ matrix.T)


class WidthHeightFilter(KalmanFilter):
    """State and measurement (x, y, w, h) in px; horizontal noise follows the width, vertical noise the height."""

    def measure(self, boxes: FloatArray) -> FloatArray:
        """Return (x, y, w, h) of `boxes`."""
        return _centre_size(boxes)

    def boxes(self, means: FloatArray) -> FloatArray:
        """Return the corners of states (x, y, w, h, ...)."""
        return _corners(means[:, :2], means[:, 2:4])

    def deviations(self, states: FloatArray) -> Deviations:
        """Return the noise: 1/20 of the size in place, 1/160 in velocity, 1/20 in measurement."""
        size = np.maximum(states[:, [2, 3, 2, 3]], MIN_SIZE_PX)
        return Deviations(POSITION_STD * size, VELOCITY_STD * size, POSITION_STD * size)

    def size_scale(self, scale: float) -> tuple[float, float]:
        """Both sides grow."""
        return scale, scale


class AspectHeightFilter(KalmanFilter):
    """State and measurement (x, y, w / h, h); all noise follows the height, the aspect ratio is nearly constant."""

    def measure(self, boxes: FloatArray) -> FloatArray:
        """Return (x, y, w / h, h) of `boxes`."""
        measured = _centre_size(boxes)
        measured[:, 2] /= np.maximum(measured[:, 3], MIN_SIZE_PX)
        return measured

    def boxes(self, means: FloatArray) -> FloatArray:
        """Return the corners of states (x, y, w / h, h, ...)."""
        aspect, height = means[:, 2:3], means[:, 3:4]
        return _corners(means[:, :2], np.hstack([aspect * height, height]))

    def deviations(self, states: FloatArray) -> Deviations:
        """Return the noise: the same shares of the height, and constants for the aspect ratio."""
        height = np.maximum(states[:, [3, 3, 3, 3]], MIN_SIZE_PX)
        noise = Deviations(POSITION_STD * height, VELOCITY_STD * height, POSITION_STD * height)
        aspect = (ASPECT_STD, ASPECT_VELOCITY_STD, ASPECT_MEASUREMENT_STD)
        for deviation, value in zip(noise, aspect, strict=True):
            deviation[:, 2] = value
        return noise

    def size_scale(self, scale: float) -> tuple[float, float]:
        """The height grows, the aspect ratio does not."""
        return 1.0, scale


def _centre_size(boxes: FloatArray) -> FloatArray:
    top_left, bottom_right = boxes[:, :2], boxes[:, 2:]
    return np.hstack([(top_left + bottom_right) / 2, np.maximum(bottom_right - top_left, 0)])


def _corners(centres: FloatArray, sizes: FloatArray) -> FloatArray:
    half = np.maximum(sizes, 0) / 2
    return np.hstack([centres - half, centres + half])


def _diagonal(values: FloatArray) -> FloatArray:
    """Return matrices (N, K, K) with `values` (N, K) on their diagonals."""
    return values[:, :, None] * np.eye(values.shape[1])
