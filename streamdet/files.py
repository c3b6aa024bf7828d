"""Finds the data that ships with the package, inside it in a wheel or beside it in a checkout, and the user's cache."""

import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

# Where nobody names a model: see docs/embedded-model.md.
EMBEDDED_MODEL = _PACKAGE / "weights" / "embedded.safetensors"


def resource(name: str) -> Path:
    """Return the path of a shipped file or folder such as ``configs/models/yolov8.yaml``."""
    installed = _PACKAGE / name
    return installed if installed.exists() else _PACKAGE.parent / name


def cache_folder(kind: str) -> Path:
    """Return the folder for things of one `kind` in the user's cache, by the custom of the operating system."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "streamdet" / kind
