"""Boxes as if the camera had stood still: all frames' places in the image of the first."""

from __future__ import annotations

import numpy as np

from trackers.types import FloatArray, IntArray


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
