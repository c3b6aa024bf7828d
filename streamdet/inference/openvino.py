"""OpenVINO on a CPU (extra ``cpu``): its core, sessions, and what one start compiles and the next one loads."""

from __future__ import annotations

import hashlib
import io
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from streamdet.errors import InputError, MissingExtraError
from streamdet.inference.cache import kept
from streamdet.inference.host import HostSession, ThreadSlot
from streamdet.inference.session import KEY, ModelCard, Precision, Slot
from streamdet.machine import core_count, no_bf16
from streamdet.options import PrecisionChoice
from streamdet.types import Float32Array, UInt8Array

# Shapes that stay compiled: a folder of pictures has few, and each takes the memory of the weights.
_KEPT_SHAPES = 4


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


class OpenVinoSession(HostSession):
    """`graph` is an ONNX file's content or the ``.xml`` of an OpenVINO model, as ``streamdet export`` writes them.

    "half" computes in bf16, "auto" does so where the CPU has it. Raises InputError, naming `name`.
    """

    name = "openvino"

    def __init__(self, graph: bytes | Path, name: str, precision: PrecisionChoice = "fp32") -> None:
        super().__init__()
        self._core, model = _read(graph, name)
        described = model.has_rt_info(["framework", KEY])
        text = model.get_rt_info(["framework", KEY]).astype(str) if described else None
        self.card = ModelCard.from_json(text, name)
        hint, float_precision = _float_precision(self._core, precision)
        self.precision: Precision = "int8" if self.card.precision == "int8" else float_precision
        self._shapes = _Shapes(self._core, model, _digest_of(graph), hint, free=self.card.input_hw is None)
        self._calling = threading.Lock()

    def __call__(self, images: UInt8Array) -> Float32Array:
        """Map images to rows, see `Session`."""
        if self.card.input_hw is not None and len(images) != 1:  # such a graph takes one image
            return np.concatenate([self(image[None]) for image in images])
        compiled = self._shapes.compiled(images.shape, streams=1)
        # A compiled model has one request for calls, which takes all cores.
        with self._calling:
            rows: Float32Array = compiled(images)[0]
        return rows

    def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Slot]:
        """Return requests of which two are computed at once, each by its share of the cores.

        One more waits, so that no core does while the next image is submitted: 4 % more frames.
        """
        compiled = self._shapes.compiled((1, *input_hw, 3), streams=self.parallel)
        return [ThreadSlot(_Inference(compiled.create_infer_request())) for _ in range(self.parallel + 1)]

    def close(self) -> None:
        """Let go of what was compiled."""
        self._shapes.clear()


class _Inference:
    """A `request` that computes one image after the other, each where it lies."""

    def __init__(self, request: Any) -> None:
        self._request, self._tensor = request, import_openvino().Tensor
        self._image: UInt8Array | None = None

    def __call__(self, image: UInt8Array) -> Callable[[], Float32Array]:
        self._image = image  # stays where the request reads it
        self._request.set_input_tensor(self._tensor(image[None], shared_memory=True))
        self._request.start_async()
        return self._rows

    def _rows(self) -> Float32Array:
        self._request.wait()
        rows: Float32Array = self._request.get_output_tensor().data[0].copy()
        return rows


class _Shapes:
    """`model` compiled for the last few shapes that were asked for, by any thread; one is compiled at a time."""

    def __init__(self, core: Any, model: Any, digest: str, hint: str, *, free: bool) -> None:
        self._core, self._model, self._digest, self._hint, self._free = core, model, digest, hint, free
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._changing, self._compiling = threading.Lock(), threading.Lock()

    def compiled(self, shape: tuple[int, ...], streams: int) -> Any:
        """Return the model for images of `shape`: a fixed shape computes 5 to 8 % faster than a free one."""
        key = (*shape, streams)
        if (known := self._known(key)) is not None:
            return known
        with self._compiling:
            if (known := self._known(key)) is not None:  # another thread was first
                return known
            compiled = self._compile(shape, streams)
            with self._changing:
                self._compiled[key] = compiled
                while len(self._compiled) > _KEPT_SHAPES:
                    self._compiled.popitem(last=False)
        return compiled

    def clear(self) -> None:
        """Let go of all of them."""
        with self._changing:
            self._compiled.clear()

    def _known(self, key: tuple[int, ...]) -> Any:
        with self._changing:
            if key in self._compiled:
                self._compiled.move_to_end(key)
            return self._compiled.get(key)

    def _compile(self, shape: tuple[int, ...], streams: int) -> Any:
        config = {
            "INFERENCE_PRECISION_HINT": self._hint,
            "INFERENCE_NUM_THREADS": core_count(),
            "NUM_STREAMS": streams,
            # The stages beside the detector run on the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        model = self._model
        if self._free:
            model = model.clone()
            model.reshape(list(shape))
        # A video has one shape. The many of a folder of pictures are not worth a file each.
        if self._compiled:
            return self._core.compile_model(model, "CPU", config)
        return _compile_or_load(self._core, model, self._digest, config)


def _read(graph: bytes | Path, name: str) -> tuple[Any, Any]:
    core = openvino_core()
    try:
        return core, core.read_model(io.BytesIO(graph) if isinstance(graph, bytes) else graph)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: expected an ONNX or OpenVINO model, found {reason}") from None


def _float_precision(core: Any, precision: PrecisionChoice) -> tuple[str, Precision]:
    """Return OpenVINO's name and ours for the type to compute in; raises InputError."""
    native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "half" and not native:
        raise no_bf16()
    return ("bf16", "bf16") if native and precision != "fp32" else ("f32", "fp32")


def _digest_of(graph: bytes | Path) -> str:
    """Return what tells apart an ONNX file's content, or the ``.xml`` of an OpenVINO model with its weights."""
    content = graph if isinstance(graph, bytes) else graph.read_bytes() + graph.with_suffix(".bin").read_bytes()
    return hashlib.sha256(content).hexdigest()


def _compile_or_load(core: Any, model: Any, digest: str, config: dict[str, Any]) -> Any:
    """Return `model`, of a fixed shape and from the graph of `digest`, compiled now or at an earlier start.

    Loading takes a third of the time: for YOLOv8n in int8 on two cores 0.5 s instead of 1.5.
    """
    made: list[Any] = []

    def compiled() -> bytes:
        made.append(core.compile_model(model, "CPU", config))
        exported: bytes = made[0].export_model().getvalue()
        return exported

    content = kept("compiled", _key(core, model, digest, config), compiled)
    if made:
        return made[0]
    try:
        return core.import_model(io.BytesIO(content), "CPU", config)
    except RuntimeError:  # whole, but OpenVINO does not take it
        return core.compile_model(model, "CPU", config)


def _key(core: Any, model: Any, digest: str, config: dict[str, Any]) -> str:
    """Return a digest of all that has a part in what is compiled."""
    capabilities = [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    version, shape = import_openvino().get_version(), model.input().partial_shape
    parts = f"{digest} {version} {capabilities} {shape} {sorted(config.items())}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]
