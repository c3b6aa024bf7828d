"""Option classes: how a field states an option, and how Python keywords are derived from such a class.

An option is a field of a dataclass: its name, type and default, and below it a docstring, which is its help. The type
may be annotated with an `Option`, how the command line shows and reads it (an option without one exists in Python
only), and with a `Range`, the values that it accepts.
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

from streamdet.errors import InputError, closest, shown
from streamdet.values import converted

P = ParamSpec("P")
O = TypeVar("O")  # noqa: E741
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")

Panel = Literal["Source", "Model", "Tracker", "Search", "Training", "Drawing", "Output", "Options"]
PANELS: tuple[Panel, ...] = get_args(Panel)  # in the order in which they are shown


@dataclass(frozen=True)
class Option:
    """How an option is shown and read on the command line.

    - `panel`: the section of the help that lists the option.
    - `name`: its name, None for the name of the field.
    - `aliases`: other names, on the command line and in Python.
    - `instead_of`: names that other programs have for something similar, which are answered by the name of this one.
    - `flag`: a switch that sets the field to the switch's own name: ``--half`` and ``half=True`` set it to "half".
    - `read`: converts the text into the value, and raises ValueError with the words that follow the option's name in
      the error message; None for a conversion by the type of the field.
    - `positional`: the option is given by its position, without a name.
    """

    panel: Panel = "Options"
    name: str | None = None
    aliases: tuple[str, ...] = ()
    instead_of: tuple[str, ...] = ()
    flag: str | None = None
    read: Callable[[str], Any] | None = None
    positional: bool = False


@dataclass(frozen=True)
class Range:
    """The lowest and the highest value of a number, both included; without `high` there is no upper limit."""

    low: float
    high: float | None = None

    def check(self, name: str, value: object) -> None:
        """Raise InputError when `value` is a number outside of the range."""
        high = sys.maxsize if self.high is None and isinstance(value, int) else self.high
        if isinstance(value, int | float) and not (self.low <= value and (high is None or value <= high)):
            is_low = self.high is None and not value >= self.low
            limits = f"at least {self.low}" if is_low or high is None else f"between {self.low} and {high}"
            raise InputError(f"{name} must be {limits}, got {shown(value)}")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of the option classes; raises InputError for a value of another type, out of range or none of the choices.

    Values of NumPy become those of Python, see `streamdet.values`.
    """

    def __post_init__(self) -> None:
        cls: Any = type(self)
        for name, field in option_fields(cls).items():
            value = field.converted(getattr(self, name))
            object.__setattr__(self, name, value)  # the way of dataclasses that are frozen
            field.check(name, value)


class Field(NamedTuple):
    """One option of a class; `default` is `dataclasses.MISSING` for an option that must be given."""

    name: str
    type: Any
    default: Any
    option: Option | None
    limits: Range | None

    def converted(self, value: Any) -> Any:
        """Return `value` as the type of the option; raises InputError."""
        try:
            return converted(self.type, value, self.option.read if self.option else None)
        except ValueError as error:
            raise InputError(f"{self.name} {error}, got {shown(value)}") from None

    @property
    def adds_up(self) -> bool:
        """Whether the value is a list: on the command line its repetitions add up."""
        origins = [(get_origin(each), get_args(each)[-1:]) for each in (self.type, *get_args(self.type))]
        return any(origin is Sequence or (origin is tuple and last == (...,)) for origin, last in origins)

    def check(self, name: str, value: object) -> None:
        """Raise InputError for a value that is out of range or none of the choices; the message begins with `name`."""
        if self.limits:
            self.limits.check(name, value)
        known = choices(self.type)
        if isinstance(value, str) and known and value not in known:
            raise InputError(f"{name} must be {_in_words(known)}, got {shown(value)}")


def choices(hint: Any) -> tuple[str, ...]:
    """Return the words that a type with a `Literal` allows, nothing for a type that allows any text."""
    parts = (hint,) if get_origin(hint) is Literal else get_args(hint)
    words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
    return () if str in parts else tuple(words)


def _in_words(known: Sequence[str]) -> str:
    """Return "a, b or c"; a single word is an alternative to numbers: "a or a number"."""
    *others, last = known
    return f"{', '.join(others)} or {last}" if others else f"{last} or a number"


@cache
def option_fields(options: Any) -> dict[str, Field]:
    """Return the fields of an option class by name: those of its bases first, in the order of the bases."""
    hints = get_type_hints(options, include_extras=True)
    defaults = {field.name: field.default for field in fields(options)}
    return {name: _field(name, hints[name], defaults[name]) for name in dict.fromkeys(_names(options))}


def _names(options: type) -> Iterator[str]:
    """Yield the names of the fields, those of bases first; the name of a base that is shared comes more than once."""
    for base in options.__bases__:
        yield from _names(base)
    yield from inspect.get_annotations(options)


def _field(name: str, hint: Any, default: Any) -> Field:
    kind, *metadata = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    option = next((each for each in metadata if isinstance(each, Option)), None)
    limits = next((each for each in metadata if isinstance(each, Range)), None)
    return Field(name, kind, default, option, limits)


@cache
def help_texts(options: Any) -> dict[str, str]:
    """Return the help of every field by name: the string below it in the source, which Python does not keep."""
    found: dict[str, str] = {}
    for base in options.__mro__:
        # Only for classes with fields, since parsing a source file takes milliseconds.
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
    """Return the syntax trees of the classes in a module by name."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def options_from_keywords(options: Callable[..., O], keywords: Mapping[str, Any]) -> O:
    """Return the options of a function's `keywords`, which may be aliases and flags; raises InputError."""
    known = option_fields(options)
    values: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for keyword, given in keywords.items():
        name, value = _resolved(known, keyword, given)
        if name not in known:
            raise InputError(f"unknown keyword {shown(keyword)}{closest(keyword, list(known))}")
        if name in values:
            raise InputError(f"expected {spelled[name]} or {keyword}, found both")
        values[name], spelled[name] = value, keyword
    for name, field in known.items():
        if field.default is MISSING and name not in values:
            raise InputError(f"expected {name}, found none")
    return options(**values)


def _resolved(known: Mapping[str, Field], keyword: str, value: Any) -> tuple[str, Any]:
    """Return the name of the field that `keyword`, maybe an alias or a flag, sets, and the value of the field."""
    for name, field in known.items():
        if field.option and keyword in field.option.aliases:
            return name, value
        if field.option and keyword == field.option.flag:
            return name, keyword if value else field.default
    return keyword, value


class takes(Generic[P, O]):  # noqa: N801
    """A decorator that replaces the last parameter of a function by the fields of an option class as keywords.

    ```python
    from streamdet.fields import takes
    from streamdet.options import RunOptions

    @takes(RunOptions)
    def lowest(source: str, options: RunOptions) -> float:
        return options.conf

    print(lowest("street.mp4", classes=["person"], conf=0.3))
    ```

    Type checkers see the keywords with their types, `inspect.signature` shows them, and the docstring lists their help.
    `Option.aliases` and `Option.flag` are accepted too. Calls raise InputError for an unknown keyword, and for a value
    that the class refuses. The function has at most two parameters before the options.
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
        """Return `function` with the keywords."""
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
    lines = [f"    {name}: {help_texts(options)[name]}" for name in option_fields(options)]
    return "\n".join([inspect.cleandoc(docstring or ""), "", "Keywords:", *lines])
