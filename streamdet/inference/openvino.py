"""OpenVINO on a CPU (extra ``cpu``)."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamdet.cores import core_count, images_in_flight
from streamdet.errors import InputError
from streamdet.inference.card import KEY, ModelCard, Precision
from streamdet.inference.compiled import compile_or_load, digest_of
from streamdet.inference.device import no_bf16
from streamdet.inference.onnx import undescribed
from streamdet.inference.openvino_runtime import import_openvino, openvino_core
from streamdet.inference.slots import Job, Slot
from streamdet.letterbox import letterbox_into, new_canvas
from streamdet.types import Float32Array, UInt8Array

# Shapes that stay compiled: a folder of pictures has few, and each takes the memory of the weights.
_KEPT_SHAPES = 4


class OpenVinoBackend:
    """`graph` is an ONNX file's content or the ``.xml`` of an OpenVINO model, as ``streamdet export`` writes them.

    `half` computes in bf16, None does so where the CPU has it. Raises InputError, naming `name`.
    """

    name = "openvino"
    device = "cpu"
    to_device = None

    def __init__(self, graph: bytes | Path, name: str, *, half: bool | None = False) -> None:
        self._core, self._model = _read(graph, name)
        if not self._model.has_rt_info(["framework", KEY]):
            raise undescribed(name)
        self.card = ModelCard.from_json(self._model.get_rt_info(["framework", KEY]).astype(str), name)
        self._hint, float_precision = _float_precision(self._core, half)
        self.precision: Precision = "int8" if self.card.precision == "int8" else float_precision
        self._digest = digest_of(graph)
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def __call__(self, images: UInt8Array) -> Float32Array:
        """Map images to rows, see `streamdet.inference.backend`."""
        if self.card.input_hw is not None and len(images) != 1:  # such a graph takes one image
            return np.concatenate([self(image[None]) for image in images])
        rows: Float32Array = self._compile(images.shape, streams=1)(images)[0]
        return rows

    def pinned(self, image: UInt8Array) -> UInt8Array:
        """Return `image`: a CPU reads it where it lies."""
        return image

    def new_slots(self, job: Job) -> list[Slot]:
        """Return requests of which two are computed at once, each by its share of the cores.

        One more waits, so that no core does while the next image is fitted: 4 % more frames.
        """
        count = images_in_flight()
        compiled = self._compile((1, *job.letterbox.input_hw, 3), streams=count)
        return [RequestSlot(compiled.create_infer_request(), job) for _ in range(count + 1)]

    def _compile(self, shape: tuple[int, ...], streams: int) -> Any:
        """Return the model compiled for images of `shape`: a fixed shape computes 5 to 8 % faster than a free one."""
        key = (*shape, streams)
        if key not in self._compiled:
            if self.card.input_hw is None:
                self._model.reshape(list(shape))
            config = {
                "INFERENCE_PRECISION_HINT": self._hint,
                "INFERENCE_NUM_THREADS": core_count(),
                "NUM_STREAMS": streams,
                # The stages beside the detector run on the same cores.
                "ENABLE_CPU_PINNING": False,
            }
            # A video has one shape. The many of a folder of pictures are not worth a file each.
            self._compiled[key] = (
                self._core.compile_model(self._model, "CPU", config)
                if self._compiled
                else compile_or_load(self._core, self._model, self._digest, config)
            )
        self._compiled.move_to_end(key)
        while len(self._compiled) > _KEPT_SHAPES:
            self._compiled.popitem(last=False)
        return self._compiled[key]


class RequestSlot:
    """An infer request that reads its pixels from, and leaves its rows in, memory of its own."""

    def __init__(self, request: Any, job: Job) -> None:
        self._request, self._job = request, job
        self._canvas = new_canvas(job.letterbox)
        request.set_input_tensor(import_openvino().Tensor(self._canvas[None], shared_memory=True))

    def submit(self, images: Sequence[UInt8Array]) -> None:
        """Fit the image and start the request."""
        (image,) = images
        letterbox_into(self._canvas, image, self._job.letterbox)
        self._request.start_async()

    def collect(self) -> list[Float32Array]:
        """Wait for the request; see `Slot`."""
        self._request.wait()
        return [self._job.select.kept(self._request.get_output_tensor().data[0])]

    def close(self) -> None:
        """Wait for the image it is busy with: the request reads the canvas."""
        self._request.wait()


def _read(graph: bytes | Path, name: str) -> tuple[Any, Any]:
    core = openvino_core()
    try:
        return core, core.read_model(io.BytesIO(graph) if isinstance(graph, bytes) else graph)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: expected an ONNX or OpenVINO model, found {reason}") from None


def _float_precision(core: Any, half: bool | None) -> tuple[str, Precision]:
    """Return OpenVINO's name and ours for the type to compute in; raises InputError."""
    native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if half and not native:
        raise no_bf16()
    return ("bf16", "bf16") if native and half is not False else ("f32", "fp32")
