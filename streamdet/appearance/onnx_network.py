"""Runs a network from an ONNX file with ONNX Runtime (extra ``onnx``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from streamdet.cores import core_count
from streamdet.errors import InputError, MissingExtraError
from streamdet.types import Float32Array

PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")  # the first that is there


class OnnxNetwork:
    """Maps crops f32 (b, 3, H, W) to features f32 (b, D).

    `inputs` holds the shape of every input, None for what is free. On a CPU half the cores are used: the detector runs
    at the same time. Raises InputError for a file that is no ONNX model, MissingExtraError without ONNX Runtime.
    """

    def __init__(self, path: Path) -> None:
        self._session = _session(path)
        nodes = self._session.get_inputs()
        self.inputs = [tuple(size if isinstance(size, int) else None for size in node.shape) for node in nodes]
        self._name = nodes[0].name if nodes else ""

    def __call__(self, crops: Float32Array) -> Float32Array:
        """Return the first output for a batch of crops."""
        return np.asarray(self._session.run(None, {self._name: crops})[0])


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "onnx") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, core_count() // 2)
    options.log_severity_level = 3  # what goes wrong is raised
    providers = [name for name in PROVIDERS if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions have no class in common
        raise InputError(f"{path}: expected an ONNX model, found {' '.join(str(error).split())}") from None
