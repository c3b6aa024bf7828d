"""The view of a camera at rest: finished tracks in the image of frame 1, so that a moving camera does not matter.

What is known of the camera's motion is undone first. What all objects are then still shifted by from one frame to the
next is taken for the camera's, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trackers.scene import FEWEST_IN_COMMON, believed
from trackers.smoothing import MEASUREMENT_STD, Sightings, size
from trackers.types import FloatArray, IntArray


class Shift(NamedTuple):
    """How far the image has moved since frame 1: `path` f64 (K, 2) in px in the ascending `frames` i64 (K,)."""

    frames: IntArray
    path: FloatArray

    def at(self, frames: IntArray) -> FloatArray:
        """Return the shift (N, 2) in `frames` (N,): in others than its own, that of the last one before."""
        return self.path[np.maximum(np.searchsorted(self.frames, frames, side="right") - 1, 0)]


def common_shift(tracks: Sequence[Sightings]) -> Shift:
    """Return what the objects of `tracks`, at least one, are shifted by at once from each frame to the next.

    Each object counts the more, the smaller it is: when a camera turns, all are shifted by as many px, and the place of
    a large one is less certain, and changes more as it or the camera travels.
    """
    frames = np.unique(np.concatenate([seen.frames for seen in tracks]))
    at, moved, sizes = (np.concatenate(parts) for parts in zip(*(_steps(seen, frames) for seen in tracks), strict=True))
    order = np.argsort(at, kind="stable")
    bounds = np.searchsorted(at[order], np.arange(len(frames) + 1))
    shifts = np.zeros((len(frames), 2))
    for frame in np.nonzero(np.diff(bounds) >= FEWEST_IN_COMMON)[0]:
        here = order[bounds[frame] : bounds[frame + 1]]
        shifts[frame] = _median_shift(moved[here], sizes[here] ** -2.0)
    return Shift(frames, np.cumsum(shifts, axis=0))


def _steps(seen: Sightings, frames: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the entries (N,) of `frames` (K,) in which a track is seen as in the one before.

    With them how far it has moved (N, 2), and its size (N,), in px.
    """
    entries = np.searchsorted(frames, seen.frames)
    steps = np.nonzero(np.diff(entries) == 1)[0]
    moved = seen.boxes[steps + 1, :2] - seen.boxes[steps, :2]
    return entries[steps + 1], moved, size(seen.boxes[steps + 1])


def _median_shift(moved: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the median (2,) of the shifts `moved` (N, 2) with `weights` (N,), scaled down by its uncertainty."""
    shift = _median(moved, weights)
    count = weights.sum() ** 2 / (weights**2).sum()  # as many of equal weight are as certain
    return believed(count, shift, _median(np.abs(moved - shift), weights), 2 * MEASUREMENT_STD**2 / weights.mean())


def _median(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weighted medians (C,) of the columns of `values` (N, C)."""
    order = np.argsort(values, axis=0)
    sums = np.cumsum(weights[order], axis=0)
    middle = (sums >= sums[-1] / 2).argmax(axis=0)
    medians: FloatArray = np.take_along_axis(values, np.take_along_axis(order, middle[None], axis=0), axis=0)[0]
    return medians


class Stabiliser:
    """A map of boxes between the images of their frames and that of frame 1.

    `camera_motion` f64 (F, 2, 3) in px is as from `trackers.mot.read_camera_motion`, for at least `frames` frames; None
    means a static camera. Boxes are x, y of the centre, width, height; sizes are scaled, not rotated. Raises ValueError
    for too few motions and for one that has no inverse.
    """

    def __init__(self, camera_motion: FloatArray | None, frames: int) -> None:
        self._shift = Shift(np.zeros(1, np.int64), np.zeros((1, 2)))
        self._to_first = np.eye(3)[None]
        if camera_motion is None:
            return
        if len(camera_motion) < frames:
            raise ValueError(f"expected camera motion up to frame {frames}, found {len(camera_motion)} entries")
        self._to_first = np.tile(np.eye(3), (frames, 1, 1))
        for frame, inverse in enumerate(_inverses(camera_motion[1:frames]), 1):
            # T_k = T_(k - 1) M_k^-1
            self._to_first[frame] = self._to_first[frame - 1] @ inverse

    def follow(self, tracks: Sequence[Sightings]) -> None:
        """Take what the objects of `tracks` are shifted by at once, seen in the image of frame 1, for the camera's."""
        self._shift = common_shift(tracks)

    def to_first(self, frames: IntArray, boxes: FloatArray) -> FloatArray:
        """Return the `boxes` (N, 4) of `frames` (N,), counted from 1, in the image of frame 1."""
        first = _transformed(self._to_first[self._entries(frames)], boxes)
        first[:, :2] -= self._shift.at(frames)
        return first

    def from_first(self, frames: IntArray, boxes: FloatArray) -> FloatArray:
        """Return `boxes` (N, 4), given in the image of frame 1, in those of `frames` (N,), counted from 1."""
        shifted = boxes.copy()
        shifted[:, :2] += self._shift.at(frames)
        return _transformed(np.asarray(np.linalg.inv(self._to_first[self._entries(frames)]), np.float64), shifted)

    def _entries(self, frames: IntArray) -> IntArray:
        """Return the rows of the maps of `frames` (N,): the only one of a static camera is that of all frames."""
        return np.minimum(frames, len(self._to_first)) - 1


def _inverses(affines: FloatArray) -> FloatArray:
    """Return the inverses (K, 3, 3) of `affines` (K, 2, 3); raises ValueError for one that has none."""
    singular = np.nonzero(np.linalg.det(affines[:, :, :2]) == 0)[0]
    if len(singular):
        raise ValueError(f"expected camera motions that can be undone, found {affines[singular[0]].tolist()}")
    bottom = np.broadcast_to([0.0, 0.0, 1.0], (len(affines), 1, 3))
    return np.linalg.inv(np.concatenate([affines, bottom], axis=1))


def _transformed(affines: FloatArray, boxes: FloatArray) -> FloatArray:
    """Return `boxes` (N, 4) with the centre moved by `affines` (N, 3, 3), and the size scaled."""
    linear, shift = affines[:, :2, :2], affines[:, :2, 2]
    centres = (linear @ boxes[:, :2, None])[:, :, 0] + shift
    scale = np.sqrt(np.abs(np.linalg.det(linear)))
    return np.hstack([centres, boxes[:, 2:] * scale[:, None]])
