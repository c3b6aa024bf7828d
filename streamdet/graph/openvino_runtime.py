"""The import of OpenVINO."""

from __future__ import annotations

import sys
from types import ModuleType

from streamdet.errors import MissingExtraError


def import_openvino() -> ModuleType:
    """Return the package, which reports nothing to its makers; raises MissingExtraError."""
    # It tells Intel of every import, and asks nobody, where this package of its dependencies can be imported.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError:
        raise MissingExtraError("openvino", "cpu") from None
    module: ModuleType = openvino
    return module
