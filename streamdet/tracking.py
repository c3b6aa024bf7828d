"""Frames and detections in, tracks out: a tracker of the package `trackers`, a clock and the camera's motion."""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from streamdet.camera_motion.estimator import CameraMotion
from streamdet.camera_motion.methods import METHODS, camera_motion
from streamdet.errors import InputError, StreamdetError, closest
from streamdet.resources import resource
from streamdet.types import Detections, Frame, Tracks

try:
    from trackers.config import IMAGE_KEYS, TrackerConfig, checked, read_config
    from trackers.tracker import Tracker
except ImportError as error:
    # Another project installs a package of the same name; anything else that is missing speaks for itself.
    _spec = find_spec("trackers")
    _found = next(iter(_spec.submodule_search_locations or [str(_spec.origin)])) if _spec else "nothing"
    _expected = Path(__file__).resolve().parents[1] / "trackers"
    if Path(_found).resolve() == _expected:
        raise
    raise StreamdetError(
        f"expected streamdet's own package trackers in {_expected.parent}, found {_found}; uninstall or rename that one"
    ) from error

DEFAULT_RATE_HZ = 30.0


class FrameTracker:
    """Follows the detections of one video; each video needs a tracker of its own.

    `camera` estimates the camera's motion, None leaves it out; `frame_rate` is nominal, in Hz, None when unknown.
    """

    def __init__(self, tracker: Tracker, camera: CameraMotion | None, frame_rate: Fraction | float | None) -> None:
        self._tracker = tracker
        self._camera = camera
        self._rate_hz = Fraction(frame_rate) if frame_rate else None
        self._last: tuple[Fraction, int] | None = None

    def update(self, frame: Frame, detections: Detections) -> Tracks:
        """Return the tracks of the next frame; its timestamp tells how long it is after the one before."""
        motion = self._camera.estimate(frame.image, detections.boxes) if self._camera else None
        tracks = self._tracker.update(
            detections.boxes,
            detections.scores,
            detections.class_ids,
            elapsed=self._elapsed(frame),
            camera_motion=motion,
        )
        return Tracks(
            ids=tracks.ids,
            boxes=tracks.boxes.astype(np.float32),
            scores=tracks.scores.astype(np.float32),
            class_ids=tracks.class_ids,
            detection_index=tracks.detection_index,
        )

    def _elapsed(self, frame: Frame) -> float:
        """Return the time since the last frame in nominal frame periods.

        Without a nominal rate, or when the clock stood still or jumped back (a stream that starts over), frames are
        counted instead.
        """
        last, self._last = self._last, (frame.time, frame.index)
        if last is None:
            return 1.0
        time_s, index = last
        periods = (frame.time - time_s) * (self._rate_hz or 0)
        return float(periods) if periods > 0 else float(max(frame.index - index, 1))


def load_tracker(spec: str | Path, frame_rate: Fraction | float | None) -> FrameTracker:
    """Return a new tracker for a video of the nominal `frame_rate` in Hz, None when unknown.

    `spec` is a tracker's name or a YAML file, with our keys or ultralytics' own. Raises InputError when the file cannot
    be read, and on a key or a value that is not known.
    """
    shipped = {file.stem: file for file in resource("configs/trackers").glob("*.yaml")}
    path = shipped.get(str(spec), Path(spec))
    try:
        config = read_config(path if path.is_file() else spec)
    except ValueError as error:
        raise InputError(str(error)) from None
    try:
        camera = camera_motion(_camera_method(config))
        tracker = config.build(float(frame_rate or DEFAULT_RATE_HZ))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return FrameTracker(tracker, camera, frame_rate)


def _camera_method(config: TrackerConfig) -> str:
    """Return the method that estimates the camera's motion; a tracker without image options has none."""
    if checked("with_reid", config.image_options.get("with_reid", False), False):
        raise ValueError("with_reid must be false because appearance is not available yet, got true")
    method = config.image_options.get("gmc_method", METHODS[0] if config.kind in IMAGE_KEYS else "none")
    if method in (None, "None"):
        return "none"
    if method not in METHODS:
        raise ValueError(f"gmc_method {method!r} is not known{closest(str(method), [*METHODS])}")
    return str(method)
