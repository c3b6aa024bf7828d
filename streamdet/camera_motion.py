"""How the camera moved between two frames: sparse optical flow of the background (BoT-SORT, arXiv 2206.14651, 3.2)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.types import Float32Array, UInt8Array

FloatArray = npt.NDArray[np.float64]

METHODS = ("sparseOptFlow", "none")

LONGER_SIDE_PX = 400  # of the grey image that the flow is computed in
MAX_POINTS = 100
MIN_POINTS = 12  # fewer say too little about the whole image
MIN_INLIERS = 0.5  # share of the points that must move together to be called the background
POINT_QUALITY = 0.01  # of the best corner
POINT_DISTANCE_PX = 10
WINDOW_PX = (15, 15)
PYRAMID_LEVELS = 3
RANSAC_TOLERANCE_PX = 1.0


def camera_motion(method: str) -> SparseOpticalFlow | None:
    """Return a new estimator for one of `METHODS`, None for ``none``; raises KeyError for another name."""
    return {"sparseOptFlow": SparseOpticalFlow(), "none": None}[method]


class SparseOpticalFlow:
    """Follows corners outside the detected objects from frame to frame and fits a similarity transform to them.

    Corners are followed as long as they last, and sought anew when half of them are lost.
    """

    def __init__(self) -> None:
        self._image_size = (0, 0)
        self._grey: UInt8Array = np.zeros((0, 0), np.uint8)
        self._points: Float32Array = np.zeros((0, 2), np.float32)
        self._sought = 0

    def estimate(self, image: UInt8Array, boxes: Float32Array) -> FloatArray:
        """Return the affine f64 (2, 3), in px, that leads from the last image to this one.

        `image` is uint8 (H, W, 3) RGB; `boxes` (N, 4) x1, y1, x2, y2 in px are where things may move on their own. It
        is the identity for a first image, for one of another size, and where too little texture moves together.
        """
        height_px, width_px = image.shape[:2]
        factor = max(1.0, max(height_px, width_px) / LONGER_SIDE_PX)
        grey = _grey(image, factor)
        if self._image_size != (height_px, width_px):
            self._image_size, self._grey, self._points = (height_px, width_px), grey, self._points[:0]
        motion, points = _follow(self._grey, grey, self._points)
        self._grey, self._points = grey, points[_outside(points, boxes / factor)]
        if len(self._points) < max(MIN_POINTS, self._sought / 2):
            self._points = _corners(grey, boxes / factor)
            self._sought = len(self._points)
        return _magnified(motion, factor)


def _grey(image: UInt8Array, factor: float) -> UInt8Array:
    """Return the image reduced by `factor`, without colour."""
    size = (round(image.shape[1] / factor), round(image.shape[0] / factor))
    return np.asarray(cv2.cvtColor(cv2.resize(image, size), cv2.COLOR_RGB2GRAY), np.uint8)


def _corners(grey: UInt8Array, boxes: Float32Array) -> Float32Array:
    """Return corners f32 (K, 2) outside `boxes`."""
    points = cv2.goodFeaturesToTrack(grey, MAX_POINTS, POINT_QUALITY, POINT_DISTANCE_PX, mask=_background(grey, boxes))
    return np.zeros((0, 2), np.float32) if points is None else np.asarray(points, np.float32).reshape(-1, 2)


def _background(grey: UInt8Array, boxes: Float32Array) -> UInt8Array:
    """Return a mask of the image, 0 in `boxes` and 255 elsewhere."""
    mask = np.full(grey.shape, 255, np.uint8)
    for x1, y1, x2, y2 in np.clip(boxes, 0, max(grey.shape)).astype(int):
        mask[y1 : y2 + 1, x1 : x2 + 1] = 0
    return mask


def _outside(points: Float32Array, boxes: Float32Array) -> npt.NDArray[np.bool_]:
    """Return which of `points` (K, 2) lie in none of `boxes` (N, 4)."""
    x, y = points.T[:, :, None]
    x1, y1, x2, y2 = boxes.T
    inside = (x1 <= x) & (x <= x2) & (y1 <= y) & (y <= y2)
    return np.asarray(~inside.any(axis=1))


def _follow(before: UInt8Array, after: UInt8Array, points: Float32Array) -> tuple[FloatArray, Float32Array]:
    """Return the similarity (2, 3) that most of `points` follow between two grey images, and where these are now.

    Without enough points it is the identity, and no point is left.
    """
    lost = np.eye(2, 3), points[:0]
    if len(points) < MIN_POINTS:
        return lost
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, np.zeros_like(points), winSize=WINDOW_PX, maxLevel=PYRAMID_LEVELS
    )
    kept = np.asarray(found).ravel() == 1
    if kept.sum() < MIN_POINTS:
        return lost
    points, moved = points[kept], np.asarray(moved)[kept]
    motion, inliers = cv2.estimateAffinePartial2D(points, moved, ransacReprojThreshold=RANSAC_TOLERANCE_PX)
    if motion is None or inliers.mean() < MIN_INLIERS:
        return lost
    return np.asarray(motion, np.float64), moved[inliers.ravel() == 1]


def _magnified(motion: FloatArray, factor: float) -> FloatArray:
    """Return `motion` of the reduced image as one of the full image; both have their origin in a pixel's centre."""
    # with P = f p + c and p' = A p + t:  P' = A P + f t + c - A c
    linear, shift = motion[:, :2], motion[:, 2]
    centre = np.full(2, (factor - 1) / 2)
    return np.column_stack([linear, factor * shift + centre - linear @ centre])
