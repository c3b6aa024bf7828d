"""The similarity transform that most of some point pairs follow."""

from __future__ import annotations

import cv2
import numpy as np

from streamdet.camera_motion.view import FloatArray
from streamdet.types import Float32Array

MIN_PAIRS = 12  # fewer say too little about the whole image
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
