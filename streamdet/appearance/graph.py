"""The graph of a ``.pt2`` archive as steps: ATen operators with their arguments, and which values they use and make.

Only operators that compute run: the public ones of ATen without text among their arguments (one with text could name a
file), and those of the core set (https://docs.pytorch.org/docs/stable/torch.compiler_ir.html) with any.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from streamdet.appearance.archive import DTYPES

Json = Mapping[str, Any]
ATEN_NAME = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)")
ATEN_OPERATOR = type(torch.ops.aten.relu.default)
# What a graph that keeps the batch free does with sizes.
SIZE_ARITHMETIC = {f"_operator.{f.__name__}": f for f in (operator.add, operator.sub, operator.mul, operator.floordiv)}
# Numbers that the format gives to memory formats.
MEMORY_FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}
KEYWORD = 2  # the kind of argument that is passed by name


class Name(str):
    """The name of a value that the graph is given or computes."""


class Step(NamedTuple):
    """One call. In arguments and `results` a `Name` stands for a value; those in `ended` are not used again."""

    function: Callable[..., Any]
    positional: Sequence[Any]
    keywords: Mapping[str, Any]
    results: Any
    ended: frozenset[Name]

    def run(self, values: dict[Name, Any]) -> None:
        """Compute the results, add them to `values` and drop what has ended."""
        keywords = {key: _filled(argument, values) for key, argument in self.keywords.items()}
        result = self.function(*_filled(self.positional, values), **keywords)
        values.update(_paired(self.results, result))
        for name in self.ended:
            del values[name]


def steps_of(nodes: Sequence[Json], output: Name, device: torch.device) -> list[Step]:
    """Return the steps on `device` that compute `output`; raises ValueError on a node that is not run."""
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
    """Return whether a node drops values at random or updates statistics, so that features would vary."""
    drops = bool(stated.get("train", {}).get("as_bool"))
    # Without running statistics it is an instance norm, which uses those of its input at all times.
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
    """Return an argument, or a place for a result, with a `Name` for every value of the graph."""
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
