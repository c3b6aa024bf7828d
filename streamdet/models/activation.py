"""The activation behind the convolutions of a network: its name in tables, specs and checkpoints, and its module."""

import ast
from collections.abc import Sequence
from typing import Any

from torch import nn

from streamdet.errors import MAX_SHOWN, InputError, shown

DEFAULT = "SiLU"
# The activations of ``torch.nn`` that are computed, each with the name and the default of its parameter, if it has one.
_PARAMETERS: dict[str, tuple[str, float | str] | None] = {
    "GELU": ("approximate", "none"),
    "Hardswish": None,
    "LeakyReLU": ("negative_slope", 0.01),
    "Mish": None,
    "ReLU": None,
    "ReLU6": None,
    "SiLU": None,
}


def parameter_name(kind: str) -> str | None:
    """Return the name of the parameter of an activation of this `kind`, None if it has none or is not computed."""
    parameter = _PARAMETERS.get(kind)
    return parameter[0] if parameter else None


def activation_name(kind: str, value: Any = None) -> str:
    """Return the name of an activation of this `kind` with this `value` of its parameter: ``LeakyReLU(0.1)``.

    A value that is None or the default is left out. Raises ValueError for what is not computed.
    """
    if kind not in _PARAMETERS:
        raise ValueError(f"expected one of the activations {', '.join(_PARAMETERS)}, found {shown(kind)}")
    parameter, default = _PARAMETERS[kind] or ("inplace", None)
    if default is None or value is None or value == default:
        return kind
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6
    if not (is_number if isinstance(default, float) else value == "tanh"):
        raise ValueError(f"expected another {parameter} of {kind}, found {shown(value)}")
    return f"{kind}({value!r})"


def read_activation(stated: object, where: str) -> str:
    """Return the name of the activation that a table states, as ``nn.LeakyReLU(0.1, inplace=True)`` or ``ReLU``.

    Nothing in it is run. Raises InputError, which begins with `where`, for what is no activation that is computed.
    """
    try:
        kind, positional, named = _call(stated)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise InputError(f"{where}: expected an activation such as nn.ReLU(), found {shown(stated)}") from None
    # The call is that of PyTorch, where whether to compute in place comes last.
    parameter = parameter_name(kind)
    names = [parameter, "inplace"] if parameter else ["inplace"]
    if len(positional) > len(names) or named.keys() - set(names):
        raise InputError(f"{where}: expected an activation with {' and '.join(names)}, found {shown(stated)}")
    values = dict(zip(names, positional, strict=False)) | named
    try:
        return activation_name(kind, values.get(parameter) if parameter else None)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def _call(stated: object) -> tuple[str, Sequence[Any], dict[str, Any]]:
    """Return the name that a call states, or a name alone, and the arguments; raises ValueError or SyntaxError."""
    if not isinstance(stated, str) or len(stated) > MAX_SHOWN:
        raise ValueError
    node = ast.parse(stated.strip(), mode="eval").body
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    named = {keyword.arg or "**": ast.literal_eval(keyword.value) for keyword in call.keywords}
    name = ast.unparse(call.func).removeprefix("torch.").removeprefix("nn.")
    return name, [ast.literal_eval(arg) for arg in call.args], named


def activation_module(name: str) -> nn.Module:
    """Return the module of the activation `name`, as `activation_name` returns it; it computes in place if it can."""
    kind, _, value = name.removesuffix(")").partition("(")
    positional = [ast.literal_eval(value)] if value else []
    in_place = {} if kind == "GELU" else {"inplace": True}
    module: nn.Module = getattr(nn, kind)(*positional, **in_place)
    return module
