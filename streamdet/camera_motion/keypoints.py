"""Matches keypoints of the background by their descriptors, however far they moved."""

from __future__ import annotations

import cv2
import numpy as np

from streamdet.camera_motion.similarity import fit_similarity
from streamdet.camera_motion.view import FloatArray, View

MAX_KEYPOINTS = 500
ORB_LEVELS = 4
ORB_CONTRAST = 20  # grey levels between a corner and its surroundings
MAX_RATIO = 0.8  # of the distances to the nearest and to the second nearest descriptor (Lowe, IJCV 60(2), 2004, 7.1)
FIT_TOLERANCE_PX = 1.5


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
