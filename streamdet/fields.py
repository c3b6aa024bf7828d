"""How a field of a class states an option, and Python keywords that are derived from such a class.

An option is a field: name, type, default, and below it a docstring, which is its help. Beside the type stand what the
command line makes of it (`Option`; without one it is for Python alone) and the values that it takes (`Range`).
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache, wraps
from itertools import pairwise
from typing import (
    Annotated,
    Any,
    Concatenate,
    Generic,
    Literal,
    NamedTuple,
    ParamSpec,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from streamdet.errors import InputError, closest

P = ParamSpec("P")
O = TypeVar("O")  # noqa: E741
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")

Panel = Literal["Source", "Model", "Tracker", "Search", "Training", "Drawing", "Output", "Options"]
PANELS: tuple[Panel, ...] = get_args(Panel)  # in the order in which they are shown


@dataclass(frozen=True)
class Option:
    """What the command line makes of a field: in which panel of the help it stands, and how it is spelled and read.

    Its name is `name`, else that of the field. An `alias` is another name, on the command line and in Python. A `flag`
    sets the field to its own name there: ``--half`` and ``half=True`` to "half". `read` turns the text into the value,
    and raises ValueError with the words that follow the option's name; without it the type decides. A `positional`
    option is told by its place, without a name.
    """

    panel: Panel = "Options"
    name: str | None = None
    alias: str | None = None
    flag: str | None = None
    read: Callable[[str], Any] | None = None
    positional: bool = False


@dataclass(frozen=True)
class Range:
    """The least and the greatest value that a number may have."""

    low: float
    high: float | None = None

    def check(self, name: str, value: object) -> None:
        """Raise InputError when `value` is a number outside of the range."""
        if isinstance(value, int | float) and not (self.low <= value and (self.high is None or value <= self.high)):
            limits = f"at least {self.low}" if self.high is None else f"between {self.low} and {self.high}"
            raise InputError(f"{name} must be {limits}, got {value}")


class Field(NamedTuple):
    """An option as its class states it; `default` is `dataclasses.MISSING` where it must be given."""

    name: str
    type: Any
    default: Any
    option: Option | None
    limits: Range | None

    def check(self, name: str, value: object) -> None:
        """Raise InputError, which calls the option `name`, for a value that is out of range or none of the choices."""
        if self.limits:
            self.limits.check(name, value)
        known = choices(self.type)
        if isinstance(value, str) and known and value not in known:
            raise InputError(f"{name} must be {in_words(known)}, got {value!r}")


def choices(hint: Any) -> tuple[str, ...]:
    """Return the words that a type allows, none for a type that allows any."""
    parts = (hint,) if get_origin(hint) is Literal else get_args(hint)
    words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
    return () if str in parts else tuple(words)


def in_words(known: Sequence[str]) -> str:
    """Return "a, b or c"; a single word stands beside numbers."""
    *others, last = known
    return f"{', '.join(others)} or {last}" if others else f"{last} or a number"


@cache
def option_fields(options: Any) -> dict[str, Field]:
    """Return the fields of an option class by name, those of its bases first, in the order in which it names these."""
    hints = get_type_hints(options, include_extras=True)
    defaults = {field.name: field.default for field in fields(options)}
    return {name: _field(name, hints[name], defaults[name]) for name in dict.fromkeys(_names(options))}


def _names(options: type) -> Iterator[str]:
    for base in options.__bases__:
        yield from _names(base)
    yield from inspect.get_annotations(options)


def _field(name: str, hint: Any, default: Any) -> Field:
    stated, *beside = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    option = next((each for each in beside if isinstance(each, Option)), None)
    limits = next((each for each in beside if isinstance(each, Range)), None)
    return Field(name, stated, default, option, limits)


@cache
def helps(options: Any) -> dict[str, str]:
    """Return the help of every field by name: the string below it in the source, which Python itself does not keep."""
    found: dict[str, str] = {}
    for base in options.__mro__:
        # Only classes with fields are looked up: reading a source takes milliseconds.
        body = _classes(base.__module__)[base.__name__].body if inspect.get_annotations(base) else []
        for statement, below in pairwise(body):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                found.setdefault(statement.target.id, inspect.cleandoc(below.value.value))
    return found


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of the option classes. Raises InputError for a value that a field does not take."""

    def __post_init__(self) -> None:
        cls: Any = type(self)
        for name, field in option_fields(cls).items():
            field.check(name, getattr(self, name))


def options_from_keywords(options: Callable[..., O], keywords: Mapping[str, Any]) -> O:
    """Return the options that keywords mean, also by the names that options had before; raises InputError."""
    known = option_fields(options)
    values: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for keyword, given in keywords.items():
        name, value = _present(known, keyword, given)
        if name not in known:
            raise InputError(f"unknown keyword {keyword!r}{closest(keyword, list(known))}")
        if name in values:
            raise InputError(f"expected {spelled[name]} or {keyword}, found both")
        values[name], spelled[name] = value, keyword
    return options(**values)


def _present(known: Mapping[str, Field], keyword: str, value: Any) -> tuple[str, Any]:
    """Return the name of the field that `keyword` sets, and the value that it then has."""
    for name, field in known.items():
        if field.option and keyword == field.option.alias:
            return name, value
        if field.option and keyword == field.option.flag:
            return name, keyword if value else field.default
    return keyword, value


def _parameters(options: Callable[..., object]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=field.type,
        )
        for name, field in option_fields(options).items()
    ]


def _documented(docstring: str | None, options: Callable[..., object]) -> str:
    lines = [f"    {name}: {helps(options)[name]}" for name in option_fields(options)]
    return "\n".join([inspect.cleandoc(docstring or ""), "", "Keywords:", *lines])


class takes(Generic[P, O]):  # noqa: N801
    """Decorator that gives a function the fields of an option class as keywords, in place of its last parameter.

    ```python
    from streamdet.fields import takes
    from streamdet.options import RunOptions

    @takes(RunOptions)
    def lowest(source: str, options: RunOptions) -> float:
        return options.conf

    print(lowest("street.mp4", classes=["person"], conf=0.3))
    ```

    Type checkers see the keywords with their types, `inspect.signature` shows them, and the docstring gets their helps.
    The names that an option had before (`Option.alias`, `Option.flag`) are taken too. Calls raise InputError for an
    unknown keyword and for a value that the class refuses. Before the options stand at most two parameters.
    """

    def __init__(self, options: Callable[P, O]) -> None:
        self._options = options

    @overload
    def __call__(self, function: Callable[[O], R]) -> Callable[P, R]: ...
    @overload
    def __call__(self, function: Callable[[A, O], R]) -> Callable[Concatenate[A, P], R]: ...
    @overload
    def __call__(self, function: Callable[[A, B, O], R]) -> Callable[Concatenate[A, B, P], R]: ...
    def __call__(self, function: Callable[..., R]) -> Callable[..., R]:
        """Return `function` with keywords."""
        *own, last = inspect.signature(function).parameters.values()
        names = {parameter.name for parameter in own}

        @wraps(function)
        def call(*positional: Any, **keywords: Any) -> R:
            passed = {name: keywords.pop(name) for name in names & keywords.keys()}
            passed[last.name] = options_from_keywords(self._options, keywords)
            return function(*positional, **passed)

        shown = inspect.signature(function).replace(parameters=[*own, *_parameters(self._options)])
        call.__signature__ = shown  # type: ignore[attr-defined]
        call.__doc__ = _documented(function.__doc__, self._options)
        return call
