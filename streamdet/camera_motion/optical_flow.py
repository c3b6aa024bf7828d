"""Sparse optical flow of the background (BoT-SORT, arXiv 2206.14651, 3.2)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.camera_motion.similarity import fit_similarity
from streamdet.camera_motion.view import FloatArray, View
from streamdet.types import Float32Array, UInt8Array

MAX_POINTS = 200
POINT_QUALITY = 0.01  # of the best corner
POINT_DISTANCE_PX = 12
WINDOW_PX = (11, 11)
PYRAMID_LEVELS = 4
RETURN_TOLERANCE_PX = 1.0
FIT_TOLERANCE_PX = 1.5


class SparseOpticalFlow:
    """Follows corners of the background from one view to the next and fits a similarity to them.

    Only corners that lead back to where they came from count (forward-backward error; Kalal, Mikolajczyk and Matas,
    Forward-Backward Error: Automatic Detection of Tracking Failures, ICPR 2010), so that steps of many pixels work.
    """

    longer_side_px = 480

    def between(self, before: View, after: View) -> FloatArray | None:
        """Return the similarity (2, 3) in px of the views, None where too little texture moves together."""
        points = _corners(before)
        if not len(points):
            return None
        moved, found = _follow(before.grey, after.grey, points)
        back, found_back = _follow(after.grey, before.grey, moved)
        returned = np.abs(back - points).max(axis=1) < RETURN_TOLERANCE_PX
        kept = found & found_back & returned & _on_background(moved, after)
        return fit_similarity(points[kept], moved[kept], FIT_TOLERANCE_PX)


def _corners(view: View) -> Float32Array:
    """Return corners f32 (K, 2) of the background."""
    points = cv2.goodFeaturesToTrack(view.grey, MAX_POINTS, POINT_QUALITY, POINT_DISTANCE_PX, mask=view.background)
    return np.zeros((0, 2), np.float32) if points is None else np.asarray(points, np.float32).reshape(-1, 2)


def _follow(before: UInt8Array, after: UInt8Array, points: Float32Array) -> tuple[Float32Array, npt.NDArray[np.bool_]]:
    """Return where `points` (K, 2) went, and which of them were found (Lucas and Kanade, in a pyramid)."""
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, np.zeros_like(points), winSize=WINDOW_PX, maxLevel=PYRAMID_LEVELS
    )
    return np.asarray(moved, np.float32), np.asarray(found).ravel() == 1


def _on_background(points: Float32Array, view: View) -> npt.NDArray[np.bool_]:
    """Return which of `points` (K, 2) lie in the view, and there on its background."""
    height_px, width_px = view.grey.shape
    x, y = np.rint(points).astype(int).T
    inside = (x >= 0) & (x < width_px) & (y >= 0) & (y < height_px)
    return np.asarray(inside & (view.background[np.where(inside, y, 0), np.where(inside, x, 0)] > 0))
