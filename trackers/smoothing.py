"""Smoothing of finished tracks over all their frames.

The state of a track is x, y, width and height in px and the speed of x and y in px per s: the speed of the centre is a
random walk, and so is the size. The unit of all noise is the size of the object, the root of its area; how abruptly
objects move is learned from the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from filterpy.kalman import KalmanFilter

from trackers.scene import MAD_STD
from trackers.types import FloatArray, IntArray

MEASUREMENT_STD = 1 / 20  # sizes, of a detection that scores 1
LEAST_SCORE = 0.1  # lower scores count as this one
WALKERS_WANDER = 0.3  # sizes per s, the deviation of the speed of walkers after 1 s
SIZE_WANDER = 0.1  # sizes, the deviation of width and height after 1 s
FIRST_TO_WANDER = 5.0  # the deviation of a speed that is not known yet, relative to that of the speed after 1 s
LAG_S = 0.4  # over which wander shows: over shorter times detections differ more by their noise
FEWEST_LAGS = 10  # fewer do not say how objects move
BOX = slice(0, 4)  # the box in a state


class Sightings(NamedTuple):
    """The detections of one track.

    `frames` i64 (N,) ascending, at least one; `boxes` f64 (N, 4) x, y of the centre, width, height in px, all in the
    same image; `scores` f64 (N,).
    """

    frames: IntArray
    boxes: FloatArray
    scores: FloatArray


class Trajectory(NamedTuple):
    """The estimates of a track in each of T frames from `first` on: `means` f64 (T, 6), `covariances` f64 (T, 6, 6)."""

    first: int
    means: FloatArray
    covariances: FloatArray

    @property
    def last(self) -> int:
        """The last frame."""
        return self.first + len(self.means) - 1


def learned_wander(tracks: Sequence[Sightings], frame_rate: float) -> float:
    """Return how abruptly objects move: the deviation of the speed after 1 s, in sizes per s, no less than of walkers.

    It is what their `tracks`, at least one, show; `frame_rate` is in Hz.
    """
    lag = max(1, round(LAG_S * frame_rate))
    turns = np.concatenate([_turns(seen, lag) for seen in tracks])
    if len(turns) < FEWEST_LAGS:
        return WALKERS_WANDER
    # var(x(t + T) - 2 x(t) + x(t - T)) = 2/3 q^2 T^3 + 6 m^2
    variance = (_variance(turns) - 6 * MEASUREMENT_STD**2) / (2 / 3 * (lag / frame_rate) ** 3)
    return float(np.sqrt(max(variance, WALKERS_WANDER**2)))


def _turns(seen: Sightings, lag: int) -> FloatArray:
    """Return the changes (K, 2) of the way of a track from one `lag` of frames to the next, in sizes."""
    at = seen.frames
    middle = np.nonzero(np.isin(at - lag, at) & np.isin(at + lag, at))[0]
    before, after = np.searchsorted(at, at[middle] - lag), np.searchsorted(at, at[middle] + lag)
    turns: FloatArray = (seen.boxes[after] - 2 * seen.boxes[middle] + seen.boxes[before])[:, :2]
    return turns / size(seen.boxes[middle])[:, None]


def _variance(values: FloatArray) -> float:
    """Return the mean variance of the columns of `values` (N, C) around 0, from their medians."""
    return float((np.median(np.abs(values), axis=0) ** 2).mean()) * MAD_STD**2


def trajectory(seen: Sightings, frame_rate: float, scene_wander: float) -> Trajectory:
    """Return the smoothed trajectory of a track, from its detections `seen`; `frame_rate` is in Hz.

    It moves as abruptly as the objects of its scene (`learned_wander`), or more where it shows that. The more abruptly
    it moves, the nearer are its boxes to those detected.
    """
    wander = max(learned_wander([seen], frame_rate), scene_wander)
    path = smooth(seen, frame_rate, wander)
    trust, at = WALKERS_WANDER / wander, seen.frames - path.first
    path.means[at, BOX] = trust * path.means[at, BOX] + (1 - trust) * seen.boxes
    return path


def smooth(seen: Sightings, frame_rate: float, wander: float) -> Trajectory:
    """Return the trajectory of a track from the first to the last of its detections `seen`; `frame_rate` is in Hz.

    A Kalman filter runs forward and a fixed-interval smoother backward (Rauch, Tung, Striebel: Maximum likelihood
    estimates of linear dynamic systems, AIAA Journal 3(8), 1965), both of filterpy.
    """
    frames = np.arange(seen.frames[0], seen.frames[-1] + 1)
    boxes: list[FloatArray | None] = [None] * len(frames)
    noises: list[FloatArray | None] = [None] * len(frames)
    for at, box, noise in zip(seen.frames - frames[0], seen.boxes, _measurement_noise(seen), strict=True):
        boxes[at], noises[at] = box, noise
    step_s = np.full(len(frames), 1 / frame_rate)
    moved = motion_noise(np.interp(frames, seen.frames, size(seen.boxes)), step_s, wander)
    kalman = _filter(seen.boxes[0], transition(step_s[:1])[0], wander)
    means, covariances, _, _ = kalman.batch_filter(boxes, Qs=moved, Rs=noises)
    means, covariances, _, _ = kalman.rts_smoother(means, covariances, Qs=moved)
    return Trajectory(int(frames[0]), means, covariances)


def size(boxes: FloatArray) -> FloatArray:
    """Return the size (N,) in px, the root of the area, of boxes or states (N, 4 or more) x, y, width, height."""
    sizes: FloatArray = np.sqrt(boxes[:, 2] * boxes[:, 3])
    return sizes


def transition(elapsed_s: FloatArray) -> FloatArray:
    """Return the transition matrices F (K, 6, 6) over the times `elapsed_s` (K,)."""
    # x' = x + t v
    return np.eye(6) + elapsed_s[:, None, None] * np.eye(6, k=4)


def motion_noise(sizes: FloatArray, elapsed_s: FloatArray, wander: float) -> FloatArray:
    """Return the process noise Q (K, 6, 6) of objects of `sizes` (K,) in px over the times `elapsed_s` (K,)."""
    t, place, speed = elapsed_s[:, None], [0, 1], [4, 5]
    noise = np.zeros((len(sizes), 6, 6))
    # Q = q^2 [[t^3 / 3, t^2 / 2], [t^2 / 2, t]] for place and speed, r^2 t for width and height
    noise[:, place, place] = wander**2 * t**3 / 3
    noise[:, place, speed] = noise[:, speed, place] = wander**2 * t**2 / 2
    noise[:, speed, speed] = wander**2 * t
    noise[:, [2, 3], [2, 3]] = SIZE_WANDER**2 * t
    return noise * sizes[:, None, None] ** 2


def _measurement_noise(seen: Sightings) -> FloatArray:
    """Return the measurement noise R (N, 4, 4).

    It is larger for a low score: such a detection is often of a half hidden object, and its box of the visible half.
    """
    deviations = MEASUREMENT_STD * size(seen.boxes) / np.clip(seen.scores, LEAST_SCORE, 1)
    return deviations[:, None, None] ** 2 * np.eye(4)


def _filter(box: FloatArray, step: FloatArray, wander: float) -> Any:
    """Return filterpy's filter for a track that begins near `box` (4,); `step` (6, 6) is the transition of a frame."""
    kalman = KalmanFilter(dim_x=6, dim_z=4)
    kalman.x = np.concatenate([box, np.zeros(2)])
    kalman.P = np.diag([1.0] * 4 + [(FIRST_TO_WANDER * wander) ** 2] * 2) * size(box[None])[0] ** 2
    kalman.F = step
    kalman.H = np.eye(4, 6)
    return kalman
