"""Boxes of finished tracks in the light of all frames: smoothed, and as if the camera had stood still.

Fixed-interval smoothing: Rauch, Tung, Striebel: Maximum likelihood estimates of linear dynamic systems, AIAA Journal
3(8), 1965; by filterpy. The state is x, y, width, height in px and the speed of x, y in px per s: the centre moves at a
speed that wanders, the size itself wanders. An object's size, the root of its area, is the unit of all noise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from filterpy.kalman import KalmanFilter

from trackers.types import FloatArray, IntArray

MEASUREMENT_STD = 1 / 20  # sizes, of a detection that scores 1
LEAST_SCORE = 0.1
FIRST_SPEED_STD = 1.5  # sizes per s: a walker
SPEED_WANDER = 0.3  # sizes per s, in 1 s
SIZE_WANDER = 0.1  # sizes, in 1 s
BOX, SPEED = slice(0, 4), slice(4, 6)


class Sightings(NamedTuple):
    """Where a track was seen: `frames` i64 (N,) ascending, at least one; `boxes` f64 (N, 4) x, y, width, height in px
    of one and the same image; `scores` f64 (N,)."""

    frames: IntArray
    boxes: FloatArray
    scores: FloatArray


class Trajectory(NamedTuple):
    """The estimates of a track in every frame from `first` on: `means` f64 (T, 6), `covariances` f64 (T, 6, 6)."""

    first: int
    means: FloatArray
    covariances: FloatArray

    @property
    def last(self) -> int:
        """The last frame."""
        return self.first + len(self.means) - 1


def smooth(seen: Sightings, frame_rate: float) -> Trajectory:
    """Return the trajectory of a track from the first to the last frame where it was `seen`."""
    frames = np.arange(seen.frames[0], seen.frames[-1] + 1)
    boxes: list[FloatArray | None] = [None] * len(frames)
    noises: list[FloatArray | None] = [None] * len(frames)
    for at, box, noise in zip(seen.frames - frames[0], seen.boxes, _measurement_noise(seen), strict=True):
        boxes[at], noises[at] = box, noise
    step_s = np.full(len(frames), 1 / frame_rate)
    wander = motion_noise(np.interp(frames, seen.frames, size(seen.boxes)), step_s)
    kalman = _filter(seen.boxes[0], transition(step_s[:1])[0])
    means, covariances, _, _ = kalman.batch_filter(boxes, Qs=wander, Rs=noises)
    means, covariances, _, _ = kalman.rts_smoother(means, covariances, Qs=wander)
    return Trajectory(int(frames[0]), means, covariances)


def size(boxes: FloatArray) -> FloatArray:
    """Return the size (N,) in px of boxes (N, >= 4), the root of their area."""
    sizes: FloatArray = np.sqrt(boxes[:, 2] * boxes[:, 3])
    return sizes


def transition(elapsed_s: FloatArray) -> FloatArray:
    """Return F (K, 6, 6) for the times `elapsed_s` (K,)."""
    # x' = x + t v
    return np.eye(6) + elapsed_s[:, None, None] * np.eye(6, k=4)


def motion_noise(sizes: FloatArray, elapsed_s: FloatArray) -> FloatArray:
    """Return Q (K, 6, 6) of objects of `sizes` (K,) in px over the times `elapsed_s` (K,)."""
    t, place, speed = elapsed_s[:, None], [0, 1], [4, 5]
    noise = np.zeros((len(sizes), 6, 6))
    # Q = q^2 [[t^3 / 3, t^2 / 2], [t^2 / 2, t]] for place and speed, r^2 t for width and height
    noise[:, place, place] = SPEED_WANDER**2 * t**3 / 3
    noise[:, place, speed] = noise[:, speed, place] = SPEED_WANDER**2 * t**2 / 2
    noise[:, speed, speed] = SPEED_WANDER**2 * t
    noise[:, [2, 3], [2, 3]] = SIZE_WANDER**2 * t
    return noise * sizes[:, None, None] ** 2


def _measurement_noise(seen: Sightings) -> FloatArray:
    """Return R (N, 4, 4): a weak detection is often of someone half hidden, and its box of the visible half."""
    deviations = MEASUREMENT_STD * size(seen.boxes) / np.clip(seen.scores, LEAST_SCORE, 1)
    return deviations[:, None, None] ** 2 * np.eye(4)


def _filter(box: FloatArray, step: FloatArray) -> Any:
    """Return filterpy's filter of a track that begins somewhere near `box` (4,), for frames that are a `step` apart."""
    kalman = KalmanFilter(dim_x=6, dim_z=4)
    kalman.x = np.concatenate([box, np.zeros(2)])
    kalman.P = np.diag([1.0] * 4 + [FIRST_SPEED_STD**2] * 2) * size(box[None])[0] ** 2
    kalman.F = step
    kalman.H = np.eye(4, 6)
    return kalman


class Stabiliser:
    """Maps boxes between the image of their frame and that of frame 1.

    `camera_motion` f64 (F, 2, 3) in px is what `trackers.mot.read_camera_motion` returns, for `frames` frames or more;
    None is a camera that stands. Boxes are x, y, width, height around their centre; sizes are scaled, not turned.
    Raises ValueError for too few motions and for one that nothing can undo.
    """

    def __init__(self, camera_motion: FloatArray | None, frames: int) -> None:
        self._to_first = np.tile(np.eye(3), (frames, 1, 1))
        if camera_motion is None:
            return
        if len(camera_motion) < frames:
            raise ValueError(f"expected camera motion up to frame {frames}, found {len(camera_motion)} entries")
        for frame, back in enumerate(_inverses(camera_motion[1:frames]), 1):
            # T_k = T_(k - 1) M_k^-1
            self._to_first[frame] = self._to_first[frame - 1] @ back

    def to_first(self, frames: IntArray, boxes: FloatArray) -> FloatArray:
        """Return the `boxes` (N, 4) of `frames` (N,), counted from 1, in the image of frame 1."""
        return _moved(self._to_first[frames - 1], boxes)

    def from_first(self, frames: IntArray, boxes: FloatArray) -> FloatArray:
        """Return `boxes` (N, 4) in the image of frame 1 in those of `frames` (N,), counted from 1."""
        return _moved(np.asarray(np.linalg.inv(self._to_first[frames - 1]), np.float64), boxes)


def _inverses(affines: FloatArray) -> FloatArray:
    """Return `affines` (K, 2, 3) undone, as matrices (K, 3, 3)."""
    flat = np.nonzero(np.linalg.det(affines[:, :, :2]) == 0)[0]
    if len(flat):
        raise ValueError(f"expected camera motions that can be undone, found {affines[flat[0]].tolist()}")
    bottom = np.broadcast_to([0.0, 0.0, 1.0], (len(affines), 1, 3))
    return np.linalg.inv(np.concatenate([affines, bottom], axis=1))


def _moved(affines: FloatArray, boxes: FloatArray) -> FloatArray:
    linear, shift = affines[:, :2, :2], affines[:, :2, 2]
    centres = (linear @ boxes[:, :2, None])[:, :, 0] + shift
    scale = np.sqrt(np.abs(np.linalg.det(linear)))
    return np.hstack([centres, boxes[:, 2:] * scale[:, None]])
