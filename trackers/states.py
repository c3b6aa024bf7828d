"""The estimates of all tracks as one array, and the steps of a constant-velocity Kalman filter over them.

An estimate describes a box by four numbers that do not depend on each other, so it is four filters of two states: a
value and its change per nominal frame period. Their equations are written out below without matrices. The estimates of
N tracks are one array, `States` f64 (N, 5, 4): axis 1 holds `VALUE`, `SPEED`, `VARIANCE`, `COVARIANCE` (of value and
speed) and `SPEED_VARIANCE`, axis 2 the four numbers. In memory the tracks come last, as they do in boxes and
measurements (N, 4), which are in Fortran order: what is done to all tracks then goes along memory, and takes a
thirtieth of the time with a thousand of them.
"""

from __future__ import annotations

import math

import numpy as np

from trackers.acceleration import accelerated
from trackers.types import FloatArray, IntArray

States = FloatArray
VALUE, SPEED, VARIANCE, COVARIANCE, SPEED_VARIANCE = range(5)


def no_states(count: int) -> States:
    """Return estimates of `count` tracks, all zero, with the tracks last in memory."""
    return np.zeros((5, 4, count)).transpose(2, 0, 1)


@accelerated
def predicted(
    states: States,
    position: FloatArray,
    velocity: FloatArray,
    elapsed: float | FloatArray,
    reach: float | FloatArray,
    kept: tuple[float, float],
    drift: tuple[float, float],
) -> States:
    """Return `states` after `elapsed` periods, over which velocities lead over `reach` periods' way.

    `position` and `velocity` (N, 4) are the variances of the noise of one period, `kept` the shares of velocities and
    of their variances that are left; the velocities of the centre tend to `drift`. See `KalmanFilter.predict`.
    """
    later, n, (speed_kept, variance_kept) = _copy(states), elapsed, kept
    value, speed, variance, covariance, speed_variance = _parts(later)
    # x <- F x;  P <- F P F' + Q,  F = [[1, reach], [0, kept]],  Q(n) = sum over k < n of F^k diag(q_x, q_v) F^k'
    value += reach * speed
    speed *= speed_kept
    variance += reach * covariance
    covariance += reach * speed_variance
    variance += reach * covariance + n * position + (n * (n - 1) * (2 * n - 1) / 6) * velocity
    covariance *= speed_kept
    covariance += (n * (n - 1) / 2) * velocity
    speed_variance *= variance_kept
    speed_variance += n * velocity
    if any(drift):
        # x(n) = x + n u + r (v - u),  v(n) = u + k (v - u)  with the common velocity u
        move(later, drift, n - reach, 1 - speed_kept)
    return later


@accelerated
def corrected(states: States, measured: FloatArray, innovation: FloatArray, index: IntArray) -> States:
    """Return `states` corrected by the rows `index` (N,) of `measured` (M, 4), M > 0; see `KalmanFilter.update`."""
    # All are corrected, those without a measurement by any one that says nothing: cheaper than to take the others out.
    measurement = measured.T.take(index, axis=1, mode="clip").T
    innovation = np.where(index >= 0, innovation.T, np.inf).T
    later = _copy(states)
    value, speed, variance, covariance, speed_variance = _parts(later)
    # S = P_xx + R;  K = P_.x / S
    gain, speed_gain = variance / innovation, covariance / innovation
    residual = measurement - value
    # x <- x + K (z - x);  P <- P - K P_x.
    value += gain * residual
    speed += speed_gain * residual
    variance -= gain * variance
    speed_variance -= speed_gain * covariance
    covariance -= gain * covariance
    return later


def move(states: States, way: tuple[float, float], places: float | FloatArray, speeds: float) -> None:
    """Move the centres of all tracks by `places` times `way` x, y, and change their velocities by `speeds` times it."""
    for axis, along in enumerate(way):
        place, speed = states[:, VALUE, axis], states[:, SPEED, axis]
        place += places * along
        speed += speeds * along


def _parts(states: States) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return views (N, 4) of the five parts of `states`."""
    parts = states.transpose(1, 0, 2)  # iterating over an array takes three times as long
    return parts[VALUE], parts[SPEED], parts[VARIANCE], parts[COVARIANCE], parts[SPEED_VARIANCE]


def _copy(states: States) -> States:
    """Return a copy of `states` with the tracks last in memory."""
    return states.transpose(1, 2, 0).copy().transpose(2, 0, 1)


def relaxation(periods: float, decay: float) -> tuple[float, float]:
    """Return over how many periods' way a velocity leads that decays at the rate `decay`, and the share that is left.

    Both after `periods`.
    """
    # x(n) = x + v (1 - e^-dn) / d,  v(n) = v e^-dn
    return -math.expm1(-decay * periods) / decay, math.exp(-decay * periods)
