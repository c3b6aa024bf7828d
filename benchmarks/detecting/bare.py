"""The bare runtimes: a model computed on prepared pixels, without the rest of the detector."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.detecting.contenders import Contender
from streamdet.inference.cache import cached_graph
from streamdet.inference.graph import RowsNetwork
from streamdet.inference.openvino import openvino_core
from streamdet.machine import core_count
from streamdet.models.weights import load_model
from streamdet.types import UInt8Array

Forward = Callable[[], object]


def bare_forward(contender: Contender, images: UInt8Array) -> Forward:
    """Return a call that computes `images` uint8 (1, H, W, 3) with the runtime of `contender` alone."""
    return {"torch": _torch, "onnx": _onnx, "openvino": _openvino}[contender.backend](contender, images)


def _torch(contender: Contender, images: UInt8Array) -> Forward:
    dtype = torch.bfloat16 if contender.precision == "bf16" else torch.float32
    network = RowsNetwork(load_model(contender.model), dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pixels = torch.from_numpy(images)
    return torch.inference_mode()(lambda: network(pixels))


def _onnx(contender: Contender, images: UInt8Array) -> Forward:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = core_count()
    # Threads that keep spinning after a call would slow down the detector's call that follows.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(cached_graph(contender.model), options, providers=["CPUExecutionProvider"])
    pixels = {session.get_inputs()[0].name: images}
    return lambda: session.run(None, pixels)


def _openvino(contender: Contender, images: UInt8Array) -> Forward:
    core = openvino_core()
    model = core.read_model(_graph(contender.model))
    model.reshape(list(images.shape))
    hint = {"fp32": {"INFERENCE_PRECISION_HINT": "f32"}, "bf16": {"INFERENCE_PRECISION_HINT": "bf16"}}
    compiled = core.compile_model(model, "CPU", hint.get(contender.precision, {}))
    return lambda: compiled(images)


def _graph(model: Path) -> Path | io.BytesIO:
    return model / "model.xml" if model.is_dir() else io.BytesIO(cached_graph(model))
