"""Runs a network from a ``.pt2`` archive of ``torch.export.save`` as data: nothing in it is unpickled or evaluated.

``torch.export.load`` may unpickle weights, constants and sample inputs, and runs expressions and guards as Python
source. Here the graph is taken from its JSON, tensors from the raw bytes that torch stores them as, and of the graph
only operators that compute are run: the public ones of ATen without text among their arguments, since a text could
name a file, and those of the core set (https://docs.pytorch.org/docs/stable/torch.compiler_ir.html) with any arguments.

The numbers of the format are those of ``torch/_export/serde/schema.py``.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor

from streamdet.errors import InputError

Json = Mapping[str, Any]

FORMAT_MAJOR = 8  # major number of SCHEMA_VERSION
DTYPES = {  # by ScalarType
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
MEMORY_FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}  # by MemoryFormat
KEYWORD = 2  # ArgumentKind of an argument that is passed by name
ATEN_NAME = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)")
ATEN_OPERATOR = type(torch.ops.aten.relu.default)
# Operators on sizes, in graphs with a free batch.
SIZE_ARITHMETIC = {f"_operator.{f.__name__}": f for f in (operator.add, operator.sub, operator.mul, operator.floordiv)}


class ExportedProgram:
    """The network in the archive at `path`, which maps one tensor to one tensor, both on `device`.

    `inputs` holds the shape of every input, None for a free size. Raises InputError for a file that is no such archive,
    and for an archive that needs anything but operators on tensors.
    """

    def __init__(self, path: Path, device: str) -> None:
        try:
            self._read(path, torch.device(device))
        except Exception as error:  # malformed content fails where it is first used, in any way
            raise InputError(f"{path}: expected an archive of torch.export.save, found {_found(error)}") from None

    def _read(self, path: Path, device: torch.device) -> None:
        module, tensors = _read_archive(path)
        graph, signature = module["graph"], module["signature"]
        self._input_names: list[Name] = []
        self._constants: dict[Name, Any] = {}
        for specification in signature["input_specs"]:
            ((kind, content),) = specification.items()
            if kind == "user_input":
                self._input_names.append(Name(content["arg"]["as_tensor"]["name"]))
            else:
                self._constants[Name(content["arg"]["name"])] = tensors[content[f"{kind}_name"]].to(device)
        self.inputs = [_shape(graph["tensor_values"][name]) for name in self._input_names]
        self._output = _output(signature["output_specs"])
        self._steps = _steps(graph["nodes"], self._output, device)

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Return the output for a batch."""
        values = {**self._constants, self._input_names[0]: batch}
        for step in self._steps:
            step.run(values)
        output: Tensor = values[self._output]
        return output


def _shape(tensor: Mapping[str, Any]) -> tuple[int | None, ...]:
    return tuple(size.get("as_int") for size in tensor["sizes"])


def _output(specifications: list[Any]) -> Name:
    """Return the name of the only output."""
    match specifications:
        case [{"user_output": {"arg": {"as_tensor": {"name": str(name)}}}}]:
            return Name(name)
    raise ValueError(f"outputs {[kind for specification in specifications for kind in specification]}, not one tensor")


def _found(error: Exception) -> str:
    """Return the end of the error message: what was found instead of an archive."""
    words = " ".join(str(error).split())
    is_plain = isinstance(error, OSError | ValueError | BadZipFile)
    return words if is_plain else f"malformed content ({type(error).__name__}: {words})"


class _Archive(NamedTuple):
    """The `graph_module` as JSON, and its `tensors`: parameters, buffers and constants by name."""

    graph_module: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def _read_archive(path: Path) -> _Archive:
    """Return the model in the archive.

    Raises ValueError for unsupported content, and the errors of `zipfile`, `json` and torch for a malformed archive.
    """
    with ZipFile(path) as archive:
        folder = archive.namelist()[0].partition("/")[0]  # named after the file that was saved
        program = json.loads(archive.read(f"{folder}/models/model.json"))
        if program["schema_version"]["major"] != FORMAT_MAJOR:
            raise ValueError(f"version {program['schema_version']['major']} of its format, not {FORMAT_MAJOR}")
        weights = _tensors(archive, f"{folder}/data/weights", "model_weights_config.json")
        constants = _tensors(archive, f"{folder}/data/constants", "model_constants_config.json")
    return _Archive(program["graph_module"], weights | constants)


def _tensors(archive: ZipFile, folder: str, index: str) -> dict[str, Tensor]:
    """Return the tensors that an index in `folder` lists, by name."""
    entries = json.loads(archive.read(f"{folder}/{index}"))["config"]
    return {name: _tensor(archive, folder, name, entry) for name, entry in entries.items()}


def _tensor(archive: ZipFile, folder: str, name: str, entry: Mapping[str, Any]) -> Tensor:
    meta = entry["tensor_meta"]
    if entry["use_pickle"] or meta is None:
        raise ValueError(f"{name!r} stored as a pickle, which is not run")
    sizes = [size["as_int"] for size in meta["sizes"]]
    strides = [stride["as_int"] for stride in meta["strides"]]
    dtype = DTYPES[meta["dtype"]]
    content = bytearray(archive.read(f"{folder}/{entry['path_name']}"))
    if not content:
        return torch.zeros(sizes, dtype=dtype)
    return torch.frombuffer(content, dtype=dtype).as_strided(sizes, strides, meta["storage_offset"]["as_int"])


class Name(str):
    """The name of a value of the graph: an input, a constant or a result."""


class Step(NamedTuple):
    """One call of `function`. In arguments and `results` a `Name` stands for a value; no later step uses `ended`."""

    function: Callable[..., Any]
    positional: Sequence[Any]
    keywords: Mapping[str, Any]
    results: Any
    ended: frozenset[Name]

    def run(self, values: dict[Name, Any]) -> None:
        """Compute the results, add them to `values` and drop the ended ones."""
        keywords = {key: _filled(argument, values) for key, argument in self.keywords.items()}
        result = self.function(*_filled(self.positional, values), **keywords)
        values.update(_paired(self.results, result))
        for name in self.ended:
            del values[name]


def _steps(nodes: Sequence[Json], output: Name, device: torch.device) -> list[Step]:
    """Return the steps on `device` that compute `output`; raises ValueError for a node that is not supported."""
    steps: list[Step] = []
    needed = {output}
    for node in reversed(nodes):
        step = _step(node, device)
        used = {*_names(step.positional), *_names(step.keywords.values()), *_names(step.results)}
        steps.append(step._replace(ended=frozenset(used - needed)))
        needed |= used
    return steps[::-1]


def _step(node: Json, device: torch.device) -> Step:
    stated = node["inputs"]
    if _trains({item["name"]: item["arg"] for item in stated}):
        raise ValueError("a network in training mode; call eval() before the export")
    positional = [_argument(item["arg"], device) for item in stated if item["kind"] != KEYWORD]
    keywords = {item["name"]: _argument(item["arg"], device) for item in stated if item["kind"] == KEYWORD}
    results = [_argument(item, device) for item in node["outputs"]]
    texts = any("as_string" in item["arg"] for item in stated)
    function = _function(node["target"], texts=texts)
    return Step(function, positional, keywords, results[0] if len(results) == 1 else results, frozenset())


def _trains(stated: Mapping[str, Json]) -> bool:
    """Return whether a node drops values at random or updates statistics, so that its results would vary."""
    drops = bool(stated.get("train", {}).get("as_bool"))
    # A norm without running statistics is an instance norm, which always uses those of its input.
    updates = bool(stated.get("training", {}).get("as_bool")) and "as_tensor" in stated.get("running_mean", {})
    return drops or updates


def _function(target: str, *, texts: bool) -> Callable[..., Any]:
    """Return the function that `target` names; raises ValueError for one that may do more than compute."""
    if target in SIZE_ARITHMETIC:
        return SIZE_ARITHMETIC[target]
    match = ATEN_NAME.fullmatch(target)
    found = getattr(getattr(torch.ops.aten, match[1], None), match[2], None) if match else None
    if match is None or not isinstance(found, ATEN_OPERATOR):
        raise ValueError(f"the operator {target}, which is none of ATen's")
    if torch.Tag.core not in found.tags and (texts or match[1].startswith("_")):
        raise ValueError(f"the operator {target}, which is not run")
    return found


def _argument(stated: Json, device: torch.device) -> Any:
    """Return an argument or a result as a Python value, with a `Name` for every value of the graph."""
    ((kind, content),) = stated.items()
    match kind:
        case "as_none":
            return None
        case "as_tensor":
            return Name(content["name"])
        case "as_sym_int":
            return Name(content["as_name"]) if "as_name" in content else content["as_int"]
        case "as_tensors" | "as_sym_ints":
            return [_argument({kind.removesuffix("s"): item}, device) for item in content]
        case "as_optional_tensors":
            return [_argument(item, device) for item in content]
        case "as_int" | "as_ints" | "as_float" | "as_floats" | "as_bool" | "as_bools" | "as_string":
            return content
        case "as_scalar_type":
            return DTYPES[content]
        case "as_memory_format":
            return MEMORY_FORMATS[content]
        case "as_layout":
            return torch.strided
        case "as_device":
            return device
    raise ValueError(f"an argument {kind}, which is not read")


def _names(arguments: Any) -> Iterator[Name]:
    """Yield the names among `arguments`."""
    if isinstance(arguments, Name):
        yield arguments
    elif isinstance(arguments, Iterable) and not isinstance(arguments, str):
        for argument in arguments:
            yield from _names(argument)


def _filled(argument: Any, values: Mapping[Name, Any]) -> Any:
    """Return `argument` with values in place of their names."""
    if isinstance(argument, Name):
        return values[argument]
    return [_filled(item, values) for item in argument] if isinstance(argument, list) else argument


def _paired(names: Any, result: Any) -> Iterator[tuple[Name, Any]]:
    """Yield every name with its value in a result of the same structure."""
    if isinstance(names, Name):
        yield names, result
    elif isinstance(names, list):
        for name, value in zip(names, result, strict=True):
            yield from _paired(name, value)
