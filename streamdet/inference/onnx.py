"""Sessions on ONNX Runtime (extra ``onnx``)."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from streamdet.errors import InputError, MissingExtraError
from streamdet.inference.host import HostSession, ThreadSlot, one_by_one, reading
from streamdet.inference.session import KEY, ModelCard, Outputs, Slot, embedding_card
from streamdet.machine import core_count
from streamdet.types import Float32Array


class OnnxSession(HostSession):
    """Computes `graph`, an ONNX file of ``streamdet export`` or its content, on a CPU.

    With `embeds` the graph is an appearance model of any origin, of which the first output is used. It is computed on
    CUDA where ONNX Runtime supports it, else with half of the cores, since a detector computes at the same time. Raises
    InputError, which begins with `name`, and MissingExtraError without ONNX Runtime.
    """

    name = "onnx"

    def __init__(self, graph: bytes | Path, name: str, *, embeds: bool = False) -> None:
        super().__init__()
        self._graph, self._file, self._embeds = graph, name, embeds
        self._runtimes: dict[int, Any] = {}
        self._making = threading.Lock()
        self._threads = max(1, core_count() // 2) if embeds else core_count()
        runtime = self._runtime(self._threads)
        if embeds:
            shapes = [tuple(size if isinstance(size, int) else None for size in x.shape) for x in runtime.get_inputs()]
            self.card = embedding_card(shapes, name)
        else:
            self.card = ModelCard.from_json(runtime.get_modelmeta().custom_metadata_map.get(KEY), name)
        self.device = "cuda:0" if runtime.get_providers()[0] == "CUDAExecutionProvider" else "cpu"
        self.precision = self.card.precision
        self._read = reading(self.card)

    def __call__(self, images: npt.NDArray[Any]) -> Outputs:
        """Map images to rows, see `Session`."""
        run = partial(self._run, self._runtime(self._threads))
        if self.card.input_hw is not None and not self._embeds:  # such a graph takes one image
            return one_by_one(run, images)
        return run(images)

    def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Slot]:
        """Return slots that share one runtime, which computes each image with the image's share of the cores."""
        runtime = self._runtime(max(1, core_count() // self.parallel))
        return [ThreadSlot(lambda image: lambda: self._run(runtime, image[None])[0]) for _ in range(self.parallel)]

    def close(self) -> None:
        """Release the runtimes."""
        self._runtimes.clear()

    def _run(self, runtime: Any, images: npt.NDArray[Any]) -> Outputs:
        outputs: list[Float32Array] = runtime.run(None, {runtime.get_inputs()[0].name: images})
        return self._read(outputs)

    def _runtime(self, threads: int) -> Any:
        """Return the runtime that computes an image with so many `threads`, made at the first call."""
        with self._making:
            if threads not in self._runtimes:
                self._runtimes[threads] = _load(self._graph, self._file, threads, self._embeds)
            return self._runtimes[threads]


def _load(graph: bytes | Path, name: str, threads: int, may_use_cuda: bool) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "onnx") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait by spinning take cores from the other stages of the pipeline.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # only errors, which are raised too
    on_cuda = may_use_cuda and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    providers = [*["CUDAExecutionProvider"] * on_cuda, "CPUExecutionProvider"]
    try:
        return onnxruntime.InferenceSession(graph, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions have no class in common
        raise InputError(f"{name}: expected an ONNX model, found {' '.join(str(error).split())}") from None
