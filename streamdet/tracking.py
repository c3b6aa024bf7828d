"""Frames and detections in, tracks out: a tracker of the package `trackers`, a clock and the camera's motion."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from streamdet.camera_motion import METHODS, SparseOpticalFlow, camera_motion
from streamdet.errors import InputError, StreamdetError, closest
from streamdet.resources import resource
from streamdet.types import Detections, Frame, Tracks

try:
    from trackers.botsort import BotSort, BotSortSettings
    from trackers.bytetrack import ByteTrack, ByteTrackSettings
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

TRACKERS = {"botsort": (BotSort, BotSortSettings), "bytetrack": (ByteTrack, ByteTrackSettings)}
IMAGE_KEYS = {"botsort": ("gmc_method", "with_reid", "model"), "bytetrack": ()}  # what `trackers` does not know
TRACK_BUFFER_RATE_HZ = 30  # ultralytics' track_buffer counts frames at this rate
DEFAULT_RATE_HZ = 30.0


class FrameTracker:
    """Follows the detections of one video; each video needs a tracker of its own.

    `camera` estimates the camera's motion, None leaves it out; `frame_rate` is nominal, in Hz, None when unknown.
    """

    def __init__(
        self, tracker: BotSort | ByteTrack, camera: SparseOpticalFlow | None, frame_rate: Fraction | float | None
    ) -> None:
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

    `spec` is a shipped name (``botsort``, ``bytetrack``) or a YAML file, with our keys or ultralytics' own. Raises
    InputError when the file cannot be read, and on a key or a value that is not known.
    """
    path = _locate(spec)
    options = _read(path)
    rate_hz = float(frame_rate or DEFAULT_RATE_HZ)
    try:
        tracker_type, settings = _settings(options)
        camera = camera_motion(_camera_method(options, tracker_type))
        return FrameTracker(TRACKERS[tracker_type][0](settings, frame_rate=rate_hz), camera, frame_rate)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _locate(spec: str | Path) -> Path:
    """Return the YAML file that `spec` names."""
    shipped = {file.stem: file for file in resource("configs/trackers").glob("*.yaml")}
    path = shipped.get(str(spec), Path(spec))
    if not path.is_file():
        raise InputError(f"expected a tracker's name or YAML file, found {str(spec)!r}{closest(str(spec), [*shipped])}")
    return path


def _read(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds."""
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: expected a readable YAML file, found {' '.join(str(error).split())}") from None
    if not isinstance(options, dict):
        raise InputError(f"{path}: expected settings of a tracker, a key and a value each, found {options!r:.80}")
    return options


def _settings(options: dict[str, Any]) -> tuple[str, BotSortSettings | ByteTrackSettings]:
    """Return the kind of tracker and its settings; raises ValueError, naming the key, on what cannot be used."""
    tracker_type = options.get("tracker_type")
    if not isinstance(tracker_type, str) or tracker_type not in TRACKERS:
        raise ValueError(f"tracker_type {tracker_type!r} is not known{closest(str(tracker_type), [*TRACKERS])}")
    build = TRACKERS[tracker_type][1]
    defaults = {item.name: item.default for item in fields(build)}
    known = ["tracker_type", "track_buffer", *defaults, *IMAGE_KEYS[tracker_type]]
    for key in options:
        if key not in known:
            raise ValueError(f"{key} is not a setting of {tracker_type}{closest(str(key), known)}")
    values = {key: _checked(key, value, defaults[key]) for key, value in options.items() if key in defaults}
    if "track_buffer" in options:
        if "track_buffer_s" in options:
            raise ValueError("expected track_buffer_s (seconds) or track_buffer (frames at 30 Hz), found both")
        values["track_buffer_s"] = _checked("track_buffer", options["track_buffer"], 0.0) / TRACK_BUFFER_RATE_HZ
    return tracker_type, build(**values)


def _checked(key: str, value: Any, default: Any) -> Any:
    """Return `value` if it is of the kind of `default`, yes or no or a number."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{key} must be true or false, got {value!r}")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} must be a number, got {value!r}")
    return value


def _camera_method(options: dict[str, Any], tracker_type: str) -> str:
    """Return the method that estimates the camera's motion; ByteTrack has none."""
    if _checked("with_reid", options.get("with_reid", False), False):
        raise ValueError("with_reid must be false because appearance is not available yet, got true")
    method = options.get("gmc_method", METHODS[0] if tracker_type == "botsort" else "none")
    if method in (None, "None"):
        return "none"
    if method not in METHODS:
        raise ValueError(f"gmc_method {method!r} is not known{closest(str(method), [*METHODS])}")
    return str(method)
