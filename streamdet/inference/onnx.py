"""ONNX Runtime on a CPU (extra ``onnx``)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from streamdet.cores import core_count, images_in_flight
from streamdet.errors import InputError, MissingExtraError
from streamdet.inference.card import KEY, ModelCard
from streamdet.inference.slots import Job, Slot, ThreadSlot
from streamdet.types import Float32Array, UInt8Array


class OnnxBackend:
    """A session on `graph`, an ONNX file that ``streamdet export`` wrote; raises InputError, naming `name`."""

    name = "onnx"
    device = "cpu"
    to_device = None

    def __init__(self, graph: bytes, name: str) -> None:
        self._graph = graph
        self._shared: Any = None
        # All cores for one image, which is what a call computes.
        self._session = _session(graph, name, threads=core_count())
        card = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        if card is None:
            raise undescribed(name)
        self.card = ModelCard.from_json(card, name)
        self.precision = self.card.precision

    def __call__(self, images: UInt8Array) -> Float32Array:
        """Map images to rows, see `streamdet.inference.backend`."""
        if self.card.input_hw is not None:  # such a graph takes one image
            return np.concatenate([_run(self._session, image[None]) for image in images])
        return _run(self._session, images)

    def pinned(self, image: UInt8Array) -> UInt8Array:
        """Return `image`: a CPU reads it where it lies."""
        return image

    def new_slots(self, job: Job) -> list[Slot]:
        """Return two threads that share a session with half of the cores for an image."""
        count = images_in_flight()
        if self._shared is None:
            self._shared = _session(self._graph, self.name, threads=core_count() // count)
        return [ThreadSlot(partial(_run, self._shared), job) for _ in range(count)]


def undescribed(name: str) -> InputError:
    """Return the error for a graph without a card."""
    return InputError(f"{name}: expected a model that streamdet export wrote, found one without its class names")


def _run(session: Any, images: UInt8Array) -> Float32Array:
    rows: Float32Array = session.run(None, {session.get_inputs()[0].name: images})[0]
    return rows


def _session(graph: bytes, name: str, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "onnx") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # A thread that waits by spinning takes the core from the stages beside the detector.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # what goes wrong is raised
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no class in common
        raise InputError(f"{name}: expected an ONNX model, found {' '.join(str(error).split())}") from None
