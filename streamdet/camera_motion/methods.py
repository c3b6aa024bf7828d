"""The ways to estimate the camera's motion, by the names that ultralytics' tracker files use."""

from __future__ import annotations

from collections.abc import Callable

from streamdet.camera_motion.ecc import EnhancedCorrelation
from streamdet.camera_motion.estimator import CameraMotion, Method
from streamdet.camera_motion.keypoints import KeypointMatching
from streamdet.camera_motion.optical_flow import SparseOpticalFlow

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
