"""OpenVINO: its import, and the one core of this process."""

from __future__ import annotations

import sys
from functools import cache
from types import ModuleType
from typing import Any

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


def openvino_core() -> Any:
    """Return the core of this process, which is never released; raises MissingExtraError.

    A core gives the thread that first computes on a CPU a stack for signals, and takes back its memory when it is
    released, be it by another thread: the next signal, Ctrl-C or the end of a child, would then kill the process.
    """
    return _core_of(import_openvino())


@cache
def _core_of(openvino: ModuleType) -> Any:
    return openvino.Core()
