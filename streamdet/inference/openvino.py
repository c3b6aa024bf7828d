"""Sessions on OpenVINO (extra ``cpu``), with compiled models that are kept in memory and on disk."""

from __future__ import annotations

import hashlib
import io
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from streamdet.errors import InputError, MissingExtraError
from streamdet.inference.cache import cached
from streamdet.inference.host import HostSession, ThreadSlot, one_by_one, reading
from streamdet.inference.session import KEY, ModelCard, Output, Outputs, Precision, Slot
from streamdet.machine import bf16_error, core_count
from streamdet.options import PrecisionChoice
from streamdet.types import Float32Array, UInt8Array

# Shapes that stay compiled. Each takes the memory of the weights; a folder of pictures has few shapes.
MAX_SHAPES = 4


def import_openvino() -> ModuleType:
    """Return the package `openvino` with its telemetry switched off; raises MissingExtraError."""
    # It reports every import to Intel, without consent, if this package of its dependencies can be imported.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError:
        raise MissingExtraError("openvino", "cpu") from None
    module: ModuleType = openvino
    return module


def openvino_core() -> Any:
    """Return the one core of this process, which is never released; raises MissingExtraError.

    A core sets an alternate signal stack for the first thread that computes on a CPU, and frees it on release, even in
    another thread. The next signal, such as Ctrl-C or the end of a child process, would then kill the process.
    """
    return _new_core(import_openvino())


@cache
def _new_core(openvino: ModuleType) -> Any:
    return openvino.Core()


class OpenVinoSession(HostSession):
    """Computes `graph`, the content of an ONNX file or the ``.xml`` of an OpenVINO model of ``streamdet export``.

    The precision "half" is bf16; so is "auto" where the CPU has it. Raises InputError, which begins with `name`.
    """

    name = "openvino"

    def __init__(self, graph: bytes | Path, name: str, precision: PrecisionChoice = "fp32") -> None:
        super().__init__()
        core = openvino_core()
        model = _read(core, graph, name)
        described = model.has_rt_info(["framework", KEY])
        text = model.get_rt_info(["framework", KEY]).astype(str) if described else None
        self.card = ModelCard.from_json(text, name)
        hint, float_precision = _float_precision(core, precision)
        self.precision: Precision = "int8" if self.card.precision == "int8" else float_precision
        read = reading(self.card)
        if self.card.layout == "prototypes":
            model, read = _with_channels_last(model), _with_channels_first(read)
        self._shapes = _Shapes(core, model, _digest(graph), hint, free=self.card.input_hw is None)
        self._calling = threading.Lock()
        self._read = read

    def __call__(self, images: UInt8Array) -> Outputs:
        """Map images to rows, see `Session`."""
        if self.card.input_hw is not None and len(images) != 1:  # such a graph takes one image
            return one_by_one(self, images)
        compiled = self._shapes.compiled(images.shape, streams=1)
        # All calls of a compiled model share one request, which takes all cores.
        with self._calling:
            return self._read(list(compiled(images).values()))

    def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Slot]:
        """Return one slot more than `parallel`; `parallel` of them compute at once, with their share of the cores each.

        The additional one waits, so that no core idles while the next image is submitted: 4 % more frames.
        """
        compiled = self._shapes.compiled((1, *input_hw, 3), streams=self.parallel)
        return [ThreadSlot(_Inference(compiled.create_infer_request(), self._read)) for _ in range(self.parallel + 1)]

    def close(self) -> None:
        """Release the compiled models."""
        self._shapes.clear()


class _Inference:
    """A `request` that computes one image after the other, each without a copy of the image."""

    def __init__(self, request: Any, read: Callable[[Sequence[Float32Array]], Outputs]) -> None:
        self._request, self._tensor, self._read = request, import_openvino().Tensor, read
        self._image: UInt8Array | None = None

    def __call__(self, image: UInt8Array) -> Callable[[], Output]:
        self._image = image  # kept alive: the request reads its memory
        self._request.set_input_tensor(self._tensor(image[None], shared_memory=True))
        self._request.start_async()
        return self._finished

    def _finished(self) -> Output:
        self._request.wait()
        return self._read([tensor.data for tensor in self._request.output_tensors])[0].copy()


class _Shapes:
    """`model`, compiled for the shapes that were used last. Thread-safe; one shape is compiled at a time."""

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
            if (known := self._known(key)) is not None:  # compiled by another thread meanwhile
                return known
            compiled = self._compile(shape, streams)
            with self._changing:
                self._compiled[key] = compiled
                while len(self._compiled) > MAX_SHAPES:
                    self._compiled.popitem(last=False)
        return compiled

    def clear(self) -> None:
        """Release all of them."""
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
        # Only the first shape is cached on disk: a video has no other, and those of a folder are not worth a file each.
        if self._compiled:
            return self._core.compile_model(model, "CPU", config)
        return _compile_or_load(self._core, model, self._digest, config)


def _read(core: Any, graph: bytes | Path, name: str) -> Any:
    try:
        return core.read_model(io.BytesIO(graph) if isinstance(graph, bytes) else graph)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: expected an ONNX or OpenVINO model, found {reason}") from None


def _with_channels_last(model: Any) -> Any:
    """Return `model` with prototypes (B, h, w, M), as it computes them: to move the channels takes 4 % of its time."""
    openvino = import_openvino()
    processor = openvino.preprocess.PrePostProcessor(model)
    prototypes = processor.output("prototypes")
    prototypes.model().set_layout(openvino.Layout("NCHW"))
    prototypes.tensor().set_layout(openvino.Layout("NHWC"))
    return processor.build()


def _with_channels_first(read: Callable[[Sequence[Float32Array]], Outputs]) -> Callable[..., Outputs]:
    """Return `read` for rows and prototypes (B, h, w, M), which it takes as views (B, M, h, w)."""

    def read_moved(arrays: Sequence[Float32Array]) -> Outputs:
        rows, prototypes = arrays
        return read([rows, prototypes.transpose(0, 3, 1, 2)])

    return read_moved


def _float_precision(core: Any, precision: PrecisionChoice) -> tuple[str, Precision]:
    """Return the type to compute in, as OpenVINO and as streamdet name it; raises InputError."""
    native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "half" and not native:
        raise bf16_error()
    return ("bf16", "bf16") if native and precision != "fp32" else ("f32", "fp32")


def _digest(graph: bytes | Path) -> str:
    """Return the digest of the content of an ONNX file, or of the ``.xml`` of an OpenVINO model and its weights."""
    content = graph if isinstance(graph, bytes) else graph.read_bytes() + graph.with_suffix(".bin").read_bytes()
    return hashlib.sha256(content).hexdigest()


def _compile_or_load(core: Any, model: Any, digest: str, config: dict[str, Any]) -> Any:
    """Return `model`, of a fixed shape and read from the graph of `digest`, compiled now or at an earlier start.

    Loading takes a third of the time: for YOLOv8n in int8 on two cores 0.5 s instead of 1.5.
    """
    compiled: list[Any] = []  # stays empty when the cache has the model

    def compile_and_export() -> bytes:
        compiled.append(core.compile_model(model, "CPU", config))
        exported: bytes = compiled[0].export_model().getvalue()
        return exported

    content = cached("compiled", _key(core, model, digest, config), compile_and_export)
    if compiled:
        return compiled[0]
    try:
        return core.import_model(io.BytesIO(content), "CPU", config)
    except RuntimeError:  # an undamaged entry that OpenVINO refuses
        return core.compile_model(model, "CPU", config)


def _key(core: Any, model: Any, digest: str, config: dict[str, Any]) -> str:
    """Return a digest of everything that the compiled model depends on."""
    capabilities = [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    version, shapes = import_openvino().get_version(), [port.partial_shape for port in (*model.inputs, *model.outputs)]
    parts = f"{digest} {version} {capabilities} {shapes} {sorted(config.items())}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]
