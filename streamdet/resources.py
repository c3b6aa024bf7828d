"""Finds the data that ships with the package: inside it in a wheel, beside it in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Return the path of a shipped file or folder such as ``configs/models/yolov8.yaml``."""
    installed = _PACKAGE / name
    return installed if installed.exists() else _PACKAGE.parent / name
