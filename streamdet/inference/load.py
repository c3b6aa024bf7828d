"""Makes the session for a model file: chooses the runtime that computes it, and the precision."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from streamdet.errors import InputError, shown
from streamdet.files import path_kind, user_path
from streamdet.inference.session import KEY, Session, embedding_card
from streamdet.machine import resolve_device
from streamdet.options import PrecisionChoice

# The package that each backend needs; the fastest on a CPU comes first.
BACKENDS = {"openvino": "openvino", "onnx": "onnxruntime", "torch": "torch"}
XML = "model.xml"  # in the folder of an exported OpenVINO model


def load_session(
    model: Path,
    *,
    device: str = "auto",
    backend: str = "auto",
    precision: PrecisionChoice = "auto",
    arch: str | None = None,
    labels: int | None = None,
) -> Session:
    """Return the session that computes `model`, a weights file or an exported model; or InputError.

    Exported models are those of ``streamdet export``, and the ONNX files of other programs that
    `streamdet.inference.layouts` recognises. An exported folder may also be named by its model.xml. `arch` is the
    architecture of weights that are only tensors, `labels` how many classes a box may have, None for 1 or what the
    exported model says. On a CPU the backend ``auto`` is the first of OpenVINO, ONNX Runtime and torch that is
    installed. With the precision ``auto`` as well, OpenVINO computes in bf16 where the CPU has it, which costs YOLOv8n
    0.3 of 44.5 mAP on COCO128, and torch in fp16 on CUDA, which costs nothing (both simulated). A backend that is named
    computes in fp32, or in 16 bits with the precision "half".
    """
    model = _resolve_folder(user_path(model))
    device = _device(model, device)
    if arch is not None and _is_exported(model):
        raise InputError(f"{model}: expected arch for weights only, an exported model states its own")
    name = _choose(model, device, precision) if backend == "auto" else backend
    _check(model, device, name, precision)
    if backend != "auto" and precision == "auto":
        precision = "fp32"
    session = _session(model, device, name, precision, arch, labels or 1)
    if labels not in (None, session.card.labels):
        raise InputError(f"{model} was exported with {session.card.labels} labels for a box, got {labels}")
    return session


def _session(model: Path, device: str, name: str, precision: PrecisionChoice, arch: str | None, labels: int) -> Session:
    """Return the session of the runtime `name`."""
    if name == "torch":
        return _torch_session(model, device, precision, arch, labels)
    if name == "onnx":
        from streamdet.inference.onnx import OnnxSession

        return OnnxSession(_graph(model, arch, labels), str(model))
    from streamdet.inference.openvino import OpenVinoSession

    graph = _xml_in(model) if path_kind(model) == "folder" else _graph(model, arch, labels)
    return OpenVinoSession(graph, str(model), precision)


def load_embedder(model: Path) -> Session:
    """Return the session of an appearance model, an ``.onnx`` file or a ``.pt2`` archive of ``torch.export.save``.

    It computes on CUDA where the runtime, ONNX Runtime or torch, supports it. Raises InputError.
    """
    model = user_path(model)
    suffix = model.suffix.lower()
    if suffix not in (".onnx", ".pt2") or path_kind(model) != "file":
        raise InputError(f"expected an appearance model in an .onnx or .pt2 file, found {shown(str(model))}")
    if suffix == ".onnx":
        from streamdet.inference.onnx import OnnxSession

        return OnnxSession(model, str(model), embeds=True)
    from streamdet.inference.exported_program import ExportedProgram
    from streamdet.inference.torch import TorchSession

    device = resolve_device("auto")
    program = ExportedProgram(model, device)
    return TorchSession(program, embedding_card(program.inputs, str(model)), device)


def possible_backends(model: Path, device: str = "auto") -> tuple[str, ...]:
    """Return the names of the backends that can compute `model`, the fastest first; raises InputError."""
    model = _resolve_folder(user_path(model))
    return _possible(model, _device(model, device))


def _torch_session(weights: Path, device: str, precision: PrecisionChoice, arch: str | None, labels: int) -> Session:
    from streamdet.inference.torch import TorchSession, load_network

    network, card, computed = load_network(weights, device, precision, arch, labels)
    if device == "cpu":
        return TorchSession(network, card, device, computed)
    import torch

    from streamdet.inference.cuda.runtime import CudaRuntime
    from streamdet.inference.cuda.session import CudaSession

    return CudaSession(CudaRuntime(torch.device(device)), network, card, computed)


def _resolve_folder(model: Path) -> Path:
    """Return the folder of an exported model that is named by its .xml, as in OpenVINO, else `model` itself."""
    return model.parent if model.suffix.lower() == ".xml" and path_kind(model) == "file" else model


def _device(model: Path, device: str) -> str:
    if not _is_exported(model):
        return resolve_device(device)
    if device not in ("auto", "cpu"):
        raise InputError(f"{model}: an exported model is computed on the device cpu, got {shown(device)}")
    return "cpu"


def _choose(model: Path, device: str, precision: PrecisionChoice) -> str:
    names = [name for name in _possible(model, device) if not (precision == "half" and name == "onnx")]
    return next((name for name in names if _installed(model, name)), names[0])


def _installed(model: Path, name: str) -> bool:
    """Return whether the backend is installed, and with it the package that converts weights for it."""
    packages = [BACKENDS[name]] if name == "torch" or _is_exported(model) else [BACKENDS[name], "onnx"]
    return all(find_spec(package) for package in packages)


def _check(model: Path, device: str, name: str, precision: PrecisionChoice) -> None:
    if name not in BACKENDS:
        raise InputError(f"backend must be auto, {', '.join(BACKENDS)}, got {shown(name)}")
    if name not in (possible := _possible(model, device)):
        raise InputError(f"{model} on {device} needs the backend {' or '.join(possible)}, got {shown(name)}")
    if precision == "half" and name == "onnx":
        raise InputError("half precision on a CPU needs the backend openvino or torch, got 'onnx'")


def _possible(model: Path, device: str) -> tuple[str, ...]:
    """Return the backends that can compute `model` on `device`, the fastest first."""
    if path_kind(model) == "folder":
        return ("openvino",)
    if model.suffix.lower() == ".onnx":
        return ("openvino", "onnx")
    return tuple(BACKENDS) if device == "cpu" else ("torch",)


def _is_exported(model: Path) -> bool:
    return path_kind(model) == "folder" or model.suffix.lower() == ".onnx"


def _xml_in(model: Path) -> Path:
    """Return the only .xml file of a folder; that of another program is refused for lack of its card."""
    found = sorted(model.glob("*.[xX][mM][lL]"))
    if len(found) != 1:
        raise InputError(
            f"{model}: expected a folder with {XML}, as streamdet export writes it, found {len(found)} .xml"
        )
    return found[0]


def _graph(model: Path, arch: str | None, labels: int) -> bytes:
    """Return the content of an ONNX file, or the graph of a weights file or of another program's ONNX file."""
    from streamdet.inference.cache import cached_graph, cached_wrapped

    if model.suffix.lower() != ".onnx":
        return cached_graph(model, arch, labels)
    try:
        content = model.read_bytes()
    except OSError as error:
        raise InputError(f"{model}: expected an ONNX model, but it cannot be read: {error.strerror}") from None
    is_ours = KEY.encode() + b"\x12" in content  # the key of an entry of the metadata, and the tag of its value
    return content if is_ours else cached_wrapped(model)
