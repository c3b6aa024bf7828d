"""The ways to estimate the camera's motion, by the names that ultralytics' tracker files use."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.camera_motion.estimator import CameraMotion, Method
from streamdet.camera_motion.view import FloatArray, View
from streamdet.types import Float32Array, UInt8Array

MIN_PAIRS = 12  # fewer say too little about the whole image
FIT_TOLERANCE_PX = 1.5
MIN_SHARE = 1 / 3  # of the pairs that must move together to be called the background


def fit_similarity(before: Float32Array, after: Float32Array, tolerance_px: float) -> FloatArray | None:
    """Return the similarity (2, 3) from points `before` (K, 2) to points `after` (K, 2), found by RANSAC.

    Pairs within `tolerance_px` of it follow it; None when too few do.
    """
    if len(before) < MIN_PAIRS:
        return None
    motion, following = cv2.estimateAffinePartial2D(before, after, ransacReprojThreshold=tolerance_px)
    if motion is None or following.sum() < max(MIN_PAIRS, MIN_SHARE * len(before)):
        return None
    return np.asarray(motion, np.float64)


LEVELS = 4  # each of half the size, so that steps of many pixels are within reach
MAX_ITERATIONS = 20
MIN_GAIN = 1e-3  # of the correlation in one iteration
MIN_CORRELATION = 0.7
BLUR_PX = 5

CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, MAX_ITERATIONS, MIN_GAIN)


class EnhancedCorrelation:
    """Aligns the backgrounds of two views, coarse to fine: rigid at first, affine on the finest level."""

    longer_side_px = 320

    def between(self, before: View, after: View) -> FloatArray | None:
        """Return the affine (2, 3) in px of the views, None where the two do not agree."""
        background = np.asarray(cv2.min(before.background, after.background), np.uint8)
        try:
            correlation, motion = _align(before.grey, after.grey, background, cv2.MOTION_AFFINE, LEVELS)
        except cv2.error:  # how OpenCV says that it did not converge
            return None
        return motion.astype(np.float64) if correlation >= MIN_CORRELATION else None


def _align(
    before: UInt8Array, after: UInt8Array, background: UInt8Array, model: int, levels: int
) -> tuple[float, Float32Array]:
    """Return the correlation reached, and the motion f32 (2, 3); raises cv2.error when that is not found."""
    motion = np.eye(2, 3, dtype=np.float32)
    if levels > 1:
        halves = (np.asarray(cv2.pyrDown(before), np.uint8), np.asarray(cv2.pyrDown(after), np.uint8))
        _, motion = _align(*halves, background[::2, ::2].copy(), cv2.MOTION_EUCLIDEAN, levels - 1)
        # pyrDown keeps every other pixel, the first one included: p = 2 p_half
        motion[:, 2] *= 2
    correlation, found = cv2.findTransformECC(before, after, motion, model, CRITERIA, background, BLUR_PX)
    return correlation, np.asarray(found, np.float32)


MAX_KEYPOINTS = 500
ORB_LEVELS = 4
ORB_CONTRAST = 20  # grey levels between a corner and its surroundings
MAX_RATIO = 0.8  # of the distances to the nearest and to the second nearest descriptor (Lowe, IJCV 60(2), 2004, 7.1)


class KeypointMatching:
    """Fits a similarity to keypoints whose nearest descriptor is clearly nearer than the second."""

    def __init__(self, detector: cv2.Feature2D, norm: int, longer_side_px: int) -> None:
        self.longer_side_px = longer_side_px
        self._detector = detector
        self._matcher = cv2.BFMatcher(norm)

    @classmethod
    def orb(cls) -> KeypointMatching:
        """ORB: oriented corners with binary descriptors (Rublee and others, ICCV 2011)."""
        detector = cv2.ORB.create(MAX_KEYPOINTS, nlevels=ORB_LEVELS, fastThreshold=ORB_CONTRAST)
        return cls(detector, cv2.NORM_HAMMING, longer_side_px=640)

    @classmethod
    def sift(cls) -> KeypointMatching:
        """SIFT: blobs of several sizes with descriptors of gradients (Lowe, IJCV 60(2), 2004)."""
        return cls(cv2.SIFT.create(MAX_KEYPOINTS), cv2.NORM_L2, longer_side_px=400)

    def between(self, before: View, after: View) -> FloatArray | None:
        """Return the similarity (2, 3) in px of the views, None where too few keypoints move together."""
        points, descriptors = self._detector.detectAndCompute(before.grey, before.background)
        points_after, descriptors_after = self._detector.detectAndCompute(after.grey, after.background)
        if descriptors is None or descriptors_after is None:
            return None
        nearest = self._matcher.knnMatch(descriptors, descriptors_after, k=2)
        matches = [two[0] for two in nearest if len(two) == 2 and two[0].distance < MAX_RATIO * two[1].distance]
        start = np.array([points[match.queryIdx].pt for match in matches], np.float32)
        end = np.array([points_after[match.trainIdx].pt for match in matches], np.float32)
        return fit_similarity(start, end, FIT_TOLERANCE_PX)


MAX_POINTS = 200
POINT_QUALITY = 0.01  # of the best corner
POINT_DISTANCE_PX = 12
WINDOW_PX = (11, 11)
PYRAMID_LEVELS = 4
RETURN_TOLERANCE_PX = 1.0


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


_BUILD: dict[str, Callable[[], Method]] = {
    "sparseOptFlow": SparseOpticalFlow,
    "ecc": EnhancedCorrelation,
    "orb": KeypointMatching.orb,
    "sift": KeypointMatching.sift,
}
METHODS = (*_BUILD, "none")


def camera_motion(method: str) -> CameraMotion | None:
    """Return a new estimator for one of `METHODS`, None for ``none``; raises KeyError for another name."""
    return None if method == "none" else CameraMotion(_BUILD[method]())
