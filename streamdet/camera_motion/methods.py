"""The methods that estimate the motion between two views, by the names that ultralytics' tracker files use.

Sparse optical flow follows corners, ECC maximises the correlation of whole images, ORB and SIFT match keypoints however
far they moved. `camera_motion` makes an estimator for a name.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.camera_motion.estimator import CameraMotion, Method
from streamdet.camera_motion.view import View
from streamdet.types import Float32Array, Float64Array, UInt8Array

MIN_PAIRS = 12  # of points; fewer represent too little of the image
MIN_SHARE = 1 / 3  # of the pairs, which must follow one motion to be the background
FIT_TOLERANCE_PX = 1.5

FLOW_MAX_POINTS = 200
FLOW_POINT_QUALITY = 0.01  # of the best corner
FLOW_POINT_DISTANCE_PX = 12
FLOW_WINDOW_PX = (11, 11)
FLOW_PYRAMID_LEVELS = 4
FLOW_RETURN_TOLERANCE_PX = 1.0

ECC_LEVELS = 4  # of half the size each, so that motions of many pixels are within reach
ECC_MAX_ITERATIONS = 20
ECC_MIN_GAIN = 1e-3  # of the correlation in one iteration
ECC_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_MAX_ITERATIONS, ECC_MIN_GAIN)
ECC_MIN_CORRELATION = 0.7
ECC_BLUR_PX = 5

MAX_KEYPOINTS = 500
ORB_LEVELS = 4
ORB_CONTRAST = 20  # grey levels between a corner and its surroundings
MAX_RATIO = 0.8  # of the distances to the nearest and the second nearest descriptor (Lowe, IJCV 60(2), 2004, 7.1)


class SparseOpticalFlow:
    """Sparse optical flow of the background (BoT-SORT, arXiv 2206.14651, section 3.2): a similarity fitted to corners.

    Only corners count that are followed back to where they started (forward-backward error; Kalal, Mikolajczyk and
    Matas, Forward-Backward Error: Automatic Detection of Tracking Failures, ICPR 2010), so that large motions work too.
    """

    longer_side_px = 480

    def between(self, before: View, after: View) -> Float64Array | None:
        """Return the similarity f64 (2, 3) in px of the views, None if too few corners move together."""
        points = _corners(before)
        if not len(points):
            return None
        moved, found = _follow(before.grey, after.grey, points)
        back, found_back = _follow(after.grey, before.grey, moved)
        returned = np.abs(back - points).max(axis=1) < FLOW_RETURN_TOLERANCE_PX
        kept = found & found_back & returned & _on_background(moved, after)
        return fit_similarity(points[kept], moved[kept], FIT_TOLERANCE_PX)


def _corners(view: View) -> Float32Array:
    """Return the positions f32 (K, 2) of corners of the background."""
    points = cv2.goodFeaturesToTrack(
        view.grey, FLOW_MAX_POINTS, FLOW_POINT_QUALITY, FLOW_POINT_DISTANCE_PX, mask=view.background
    )
    return np.zeros((0, 2), np.float32) if points is None else np.asarray(points, np.float32).reshape(-1, 2)


def _follow(before: UInt8Array, after: UInt8Array, points: Float32Array) -> tuple[Float32Array, npt.NDArray[np.bool_]]:
    """Return the new positions of `points` (K, 2), and which were found (Lucas and Kanade, in a pyramid)."""
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, np.zeros_like(points), winSize=FLOW_WINDOW_PX, maxLevel=FLOW_PYRAMID_LEVELS
    )
    return np.asarray(moved, np.float32), np.asarray(found).ravel() == 1


def _on_background(points: Float32Array, view: View) -> npt.NDArray[np.bool_]:
    """Return which of `points` (K, 2) lie inside the view and on its background."""
    height_px, width_px = view.grey.shape
    x, y = np.rint(points).astype(int).T
    inside = (x >= 0) & (x < width_px) & (y >= 0) & (y < height_px)
    return np.asarray(inside & (view.background[np.where(inside, y, 0), np.where(inside, x, 0)] > 0))


class EnhancedCorrelation:
    """The alignment of the backgrounds of two views that maximises their correlation.

    ECC (Evangelidis and Psarakis, TPAMI 30(10), 2008), coarse to fine: rigid at first, affine on the finest level.
    """

    longer_side_px = 320

    def between(self, before: View, after: View) -> Float64Array | None:
        """Return the affine f64 (2, 3) in px of the views, None if the correlation stays too low."""
        background = np.asarray(cv2.min(before.background, after.background), np.uint8)
        try:
            correlation, motion = _align(before.grey, after.grey, background, cv2.MOTION_AFFINE, ECC_LEVELS)
        except cv2.error:  # raised by OpenCV if it did not converge
            return None
        return motion.astype(np.float64) if correlation >= ECC_MIN_CORRELATION else None


def _align(
    before: UInt8Array, after: UInt8Array, background: UInt8Array, model: int, levels: int
) -> tuple[float, Float32Array]:
    """Return the correlation reached and the motion f32 (2, 3); raises cv2.error if it does not converge."""
    motion = np.eye(2, 3, dtype=np.float32)
    if levels > 1:
        halves = (np.asarray(cv2.pyrDown(before), np.uint8), np.asarray(cv2.pyrDown(after), np.uint8))
        _, motion = _align(*halves, background[::2, ::2].copy(), cv2.MOTION_EUCLIDEAN, levels - 1)
        # pyrDown keeps every other pixel, the first one included: p = 2 p_half
        motion[:, 2] *= 2
    correlation, found = cv2.findTransformECC(before, after, motion, model, ECC_CRITERIA, background, ECC_BLUR_PX)
    return correlation, np.asarray(found, np.float32)


class KeypointMatching:
    """A similarity fitted to matches of keypoints whose nearest descriptor is clearly nearer than the second."""

    def __init__(self, detector: cv2.Feature2D, norm: int, longer_side_px: int) -> None:
        self.longer_side_px = longer_side_px
        self._detector = detector
        self._matcher = cv2.BFMatcher(norm)

    @classmethod
    def orb(cls) -> KeypointMatching:
        """Return the method with ORB: oriented corners with binary descriptors (Rublee and others, ICCV 2011)."""
        detector = cv2.ORB.create(MAX_KEYPOINTS, nlevels=ORB_LEVELS, fastThreshold=ORB_CONTRAST)
        return cls(detector, cv2.NORM_HAMMING, longer_side_px=640)

    @classmethod
    def sift(cls) -> KeypointMatching:
        """Return the method with SIFT: blobs with descriptors of gradients (Lowe, IJCV 60(2), 2004)."""
        return cls(cv2.SIFT.create(MAX_KEYPOINTS), cv2.NORM_L2, longer_side_px=400)

    def between(self, before: View, after: View) -> Float64Array | None:
        """Return the similarity f64 (2, 3) in px of the views, None if too few keypoints move together."""
        points, descriptors = self._detector.detectAndCompute(before.grey, before.background)
        points_after, descriptors_after = self._detector.detectAndCompute(after.grey, after.background)
        if descriptors is None or descriptors_after is None:
            return None
        nearest = self._matcher.knnMatch(descriptors, descriptors_after, k=2)
        matches = [two[0] for two in nearest if len(two) == 2 and two[0].distance < MAX_RATIO * two[1].distance]
        start = np.array([points[match.queryIdx].pt for match in matches], np.float32)
        end = np.array([points_after[match.trainIdx].pt for match in matches], np.float32)
        return fit_similarity(start, end, FIT_TOLERANCE_PX)


def fit_similarity(before: Float32Array, after: Float32Array, tolerance_px: float) -> Float64Array | None:
    """Return the similarity f64 (2, 3) from points `before` (K, 2) to points `after` (K, 2), fitted by RANSAC.

    Returns None if too few pairs follow it, to within `tolerance_px`.
    """
    if len(before) < MIN_PAIRS:
        return None
    motion, following = cv2.estimateAffinePartial2D(before, after, ransacReprojThreshold=tolerance_px)
    if motion is None or following.sum() < max(MIN_PAIRS, MIN_SHARE * len(before)):
        return None
    return np.asarray(motion, np.float64)


_FACTORIES: dict[str, Callable[[], Method]] = {
    "sparseOptFlow": SparseOpticalFlow,
    "ecc": EnhancedCorrelation,
    "orb": KeypointMatching.orb,
    "sift": KeypointMatching.sift,
}
METHODS = (*_FACTORIES, "none")


def camera_motion(method: str) -> CameraMotion | None:
    """Return a new estimator that uses one of `METHODS`, None for ``none``; raises KeyError for another name."""
    return None if method == "none" else CameraMotion(_FACTORIES[method]())
