"""Maximises the correlation of two whole images: ECC (Evangelidis and Psarakis, TPAMI 30(10), 2008)."""

from __future__ import annotations

import cv2
import numpy as np

from streamdet.camera_motion.view import FloatArray, View
from streamdet.types import Float32Array, UInt8Array

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
