"""Reads PyTorch checkpoints (``.pt``) as data, without the packages whose classes are pickled in them.

Format: a zip archive written by ``torch.save`` since PyTorch 1.6. ``ROOT/data.pkl`` holds the objects, with references
to ``ROOT/data/KEY``, the raw numbers of one storage each, little-endian.
"""

import math
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from streamdet.errors import InputError, shown
from streamdet.files import content_kind
from streamdet.models.activation import activation_name, parameter_name
from streamdet.models.blocks import BATCH_NORM_EPS
from streamdet.models.unpickle import Global, Machine, StandIn

MAX_KEY = 256  # characters in the name of a tensor; the longest of YOLOv8 has 36
MAX_AXES = 8

# Where programs store a model, or its tensors, the averaged one first; and what wrappers put in front of its keys.
_MODEL_KEYS = ("ema", "model", "state_dict", "model_state_dict", "net")
_WRAPPERS = ("module.", "_orig_mod.")

_DTYPES = {
    Global("torch", "DoubleStorage"): torch.float64,
    Global("torch", "FloatStorage"): torch.float32,
    Global("torch", "HalfStorage"): torch.float16,
    Global("torch", "BFloat16Storage"): torch.bfloat16,
    Global("torch", "LongStorage"): torch.int64,
    Global("torch", "IntStorage"): torch.int32,
    Global("torch", "ShortStorage"): torch.int16,
    Global("torch", "CharStorage"): torch.int8,
    Global("torch", "ByteStorage"): torch.uint8,
    Global("torch", "BoolStorage"): torch.bool,
}

# Calls in published checkpoints besides those for tensors; their results are not needed.
_INERT = frozenset(
    Global(module, name)
    for module, names in {
        "_codecs": "encode",
        "argparse": "Namespace",
        "datetime": "date datetime timedelta",
        "numpy": "dtype ndarray",
        "numpy.core.multiarray": "_reconstruct scalar",
        "numpy._core.multiarray": "_reconstruct scalar",
        "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
        "torch": "Size device",
        "types": "SimpleNamespace",
    }.items()
    for name in names.split()
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The model in a checkpoint, not yet checked: tensors by state key, the model table, the class names.

    `activation` is the name of that behind its convolutions, None if there is no such module. A checkpoint that holds
    only tensors, as of ``model.state_dict()``, has neither table nor names.
    """

    state: dict[str, Tensor]
    table: Any = None
    class_names: Any = None
    activation: str | None = None


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the model in `path`: the averaged weights (``ema``) if there are any, else the trained ones (``model``).

    Raises InputError if the file is damaged, no checkpoint, or hostile. Nothing from the file is ever run.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            model = _model(_Archive(archive, path.stat().st_size).load())
        if not isinstance(model, StandIn):
            return Checkpoint(model)
        activation = _activation(model)
        _check_batch_norms(model)
        state = dict(_tensors(model))
    except InputError as error:
        raise InputError(f"{path} is not a usable checkpoint: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, struct.error, NotImplementedError, EOFError, RuntimeError, ValueError, LookupError):
        raise InputError(f"{path}: expected a checkpoint written by torch.save, found {content_kind(path)}") from None
    return Checkpoint(state, model.state.get("yaml"), model.state.get("names"), activation)


class _Archive:
    """The zip archive of a checkpoint: its records, in all no larger than the file, and the tensors in them."""

    def __init__(self, archive: zipfile.ZipFile, size_bytes: int) -> None:
        self._archive = archive
        self._records = {info.filename: info for info in archive.infolist()}
        self._storages: dict[str, Tensor] = {}
        if any(info.compress_type != zipfile.ZIP_STORED for info in self._records.values()):
            raise InputError("its records are compressed, which torch.save never does")
        if sum(info.file_size for info in self._records.values()) > size_bytes:
            raise InputError("its records claim more bytes than the file has")
        pickles = [name for name in self._records if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise InputError(f"expected one record data.pkl, found {len(pickles)}")
        self._root = pickles[0].removesuffix("data.pkl")

    def load(self) -> Any:
        """Return the stored objects."""
        if f"{self._root}constants.pkl" in self._records:
            raise InputError("it is a TorchScript program, and a program would have to be run")
        if self._read("byteorder", b"little") != b"little":
            raise InputError("its numbers are big-endian")
        return Machine(_CALLS, _INERT, self._storage).run(self._read("data.pkl"))

    def _storage(self, reference: Any) -> Tensor:
        """Return the storage ``("storage", type, key, device, count)`` as a flat tensor."""
        match reference:
            case ("storage", Global() as kind, str() as key, str(), int() as count) if kind in _DTYPES:
                pass
            case _:
                raise InputError("it refers to a tensor in a way that torch.save does not")
        if key not in self._storages:
            numbers = np.frombuffer(bytearray(self._read(f"data/{key}")), np.uint8)
            self._storages[key] = torch.from_numpy(numbers).view(_DTYPES[kind])
        storage = self._storages[key]
        if storage.dtype != _DTYPES[kind] or len(storage) != count:
            raise InputError(f"storage {key} should hold {count} numbers of {kind}, found {len(storage)}")
        return storage

    def _read(self, name: str, default: bytes | None = None) -> bytes:
        record = self._records.get(self._root + name)
        if record is None and default is not None:
            return default
        if record is None:
            raise InputError(f"it has no record {name}")
        return self._archive.read(record)


def _rebuild_tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    """Return a view of `storage`; the further arguments (gradient, hooks, metadata) do not matter for inference."""
    # A stride of 0 would let a few stored numbers stand for any amount of memory.
    if len(size) > MAX_AXES or math.prod(size) > storage.numel():
        raise ValueError(f"a tensor larger than its storage of {storage.numel()} numbers")
    return storage.as_strided(size, stride, offset)


def _unwrap_parameter(tensor: Tensor, *_: Any) -> Tensor:
    return tensor


def _list_of_set(items: Any = ()) -> Any:
    return items


def _new_dict(*_: Any) -> dict[Any, Any]:
    return {}


_CALLS: dict[Global, Callable[..., Any]] = {
    Global("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    Global("torch._utils", "_rebuild_parameter"): _unwrap_parameter,
    Global("torch._utils", "_rebuild_parameter_with_state"): _unwrap_parameter,
    Global("collections", "OrderedDict"): _new_dict,
    Global("collections", "defaultdict"): _new_dict,
    # A set stays the list that it is stored as: values from the file are not hashed.
    Global("__builtin__", "set"): _list_of_set,
    Global("builtins", "set"): _list_of_set,
}


def _model(stored: Any) -> StandIn | dict[str, Tensor]:
    """Return the stored model, else its tensors by state key if they are all that is stored."""
    candidates = [stored.get(key) for key in _MODEL_KEYS] if isinstance(stored, dict) else []
    for candidate in (*candidates, stored):
        if isinstance(candidate, StandIn):
            return candidate
        if isinstance(candidate, dict) and (state := _state(candidate)):
            return state
    raise InputError(f"it holds neither a model nor its tensors under {', '.join(map(repr, _MODEL_KEYS))}")


def _state(stored: dict[Any, Any]) -> dict[str, Tensor]:
    """Return the tensors in `stored` without the prefixes of wrappers; none if anything else is stored there."""
    state = {key: value for key, value in stored.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if len(state) != len(stored):
        return {}
    for prefix in _WRAPPERS:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _activation(model: StandIn) -> str | None:
    """Return the name of the activation of all convolutions, None without one; raises InputError if they differ."""
    stored = (dict(_entries(module, "_modules")).get("act") for _, module in _modules(model))
    try:
        names = {_activation_name(each) for each in stored if isinstance(each, StandIn)}
    except ValueError as error:
        raise InputError(str(error)) from None
    if len(names) > 1:
        raise InputError(f"expected one activation behind all convolutions, found {' and '.join(sorted(names))}")
    return names.pop() if names else None


def _activation_name(stored: StandIn) -> str:
    kind = stored.type.name
    parameter = parameter_name(kind)
    return activation_name(kind, stored.state.get(parameter) if parameter else None)


def _check_batch_norms(model: StandIn) -> None:
    """Raise InputError for batch norms with another constant than ours, which no tensor states."""
    for _, module in _modules(model):
        eps = module.state.get("eps")
        if module.type.name == "BatchNorm2d" and eps != BATCH_NORM_EPS:
            raise InputError(f"its batch norms have the eps {shown(eps)}, and only {BATCH_NORM_EPS} is computed")


def _modules(model: StandIn) -> Iterator[tuple[str, StandIn]]:
    """Yield each module below a stored ``torch.nn.Module``, and itself, once, behind the prefix of its state keys."""
    seen: set[int] = set()
    waiting = [("", model)]
    while waiting:
        prefix, module = waiting.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        yield prefix, module
        for name, child in _entries(module, "_modules"):
            if isinstance(child, StandIn):
                waiting.append((f"{prefix}{name}.", child))
            if len(prefix) + len(name) > MAX_KEY:
                raise InputError(f"its modules are nested too deeply, expected names up to {MAX_KEY} characters")


def _tensors(model: StandIn) -> Iterator[tuple[str, Tensor]]:
    """Yield state keys and tensors of a stored ``torch.nn.Module``; a module that is stored twice is read once."""
    for prefix, module in _modules(model):
        transient = module.state.get("_non_persistent_buffers_set")
        for name, tensor in (*_entries(module, "_parameters"), *_entries(module, "_buffers")):
            if isinstance(tensor, Tensor) and not (isinstance(transient, list | set) and name in transient):
                yield prefix + name, tensor


def _entries(module: StandIn, attribute: str) -> list[tuple[str, Any]]:
    """Return the named entries of one of the dicts that every ``torch.nn.Module`` has."""
    stored = module.state.get(attribute)
    return [(key, value) for key, value in stored.items() if isinstance(key, str)] if isinstance(stored, dict) else []
