"""The configuration of a tracker, read by our package `trackers`, and the parts of it that need the image."""

from __future__ import annotations

from pathlib import Path

from streamdet.appearance import AppearanceModel
from streamdet.camera_motion.estimator import CameraMotion
from streamdet.camera_motion.methods import METHODS, camera_motion
from streamdet.errors import InputError, StreamdetError, closest, shown
from streamdet.files import resource, user_path
from streamdet.installation import trackers_problem

try:
    from trackers.config import IMAGE_KEYS, TrackerConfig, checked, read_config
except ImportError as error:
    if (problem := trackers_problem()) is None:  # something that ours imports is missing
        raise
    raise StreamdetError(problem) from error


def read_tracker(name_or_path: str | Path) -> TrackerConfig:
    """Return the configuration that `name_or_path` names: a tracker with the settings it ships with, or a YAML file.

    The file has our keys or those of ultralytics. Raises InputError when it cannot be read, and for an unknown key or a
    value that cannot be used.
    """
    shipped = {file.stem: file for file in resource("configs/trackers").glob("*.yaml")}
    try:
        return read_config(shipped.get(str(name_or_path)) or user_path(name_or_path))
    except ValueError as error:
        raise InputError(str(error)) from None


def load_camera_motion(config: TrackerConfig) -> CameraMotion | None:
    """Return the estimator of the camera's motion that the configuration asks for, None for none.

    The default is the first of `METHODS` for a tracker that takes the option, and none for another. Raises ValueError,
    naming the key, for an unknown method.
    """
    default = METHODS[0] if config.kind in IMAGE_KEYS else "none"
    method = config.image_options.get("gmc_method", default)
    if method in (None, "None"):
        return None
    if method not in METHODS:
        raise ValueError(f"gmc_method {shown(method)} is not known{closest(str(method), [*METHODS])}")
    return camera_motion(str(method))


def load_appearance(config: TrackerConfig, model: str | Path | None) -> AppearanceModel | None:
    """Return the appearance model in the file `model`, or else in the one that the configuration names, or None.

    Raises InputError for a file that holds no such model and for a tracker that uses no appearance, and ValueError,
    naming the key, for a configuration that asks for appearance without a file.
    """
    if model is not None:
        if config.kind not in IMAGE_KEYS:
            takers = ", ".join(sorted(IMAGE_KEYS))
            raise InputError(f"expected a tracker that takes an appearance model ({takers}), found {config.kind}")
        return AppearanceModel(model)
    if not checked("with_reid", config.image_options.get("with_reid", False), False):
        return None
    named = config.image_options.get("model")
    if not isinstance(named, str) or named == "auto":
        raise ValueError(f"model must be the file of an appearance model, .onnx or .pt2, got {shown(named)}")
    return AppearanceModel(named)
