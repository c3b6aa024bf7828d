"""Commands made of option classes: a cyclopts parameter for every field, and the errors of cyclopts as one sentence."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING
from functools import cached_property, partial
from itertools import chain, count
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    Group,
    MissingArgumentError,
    Parameter,
    Token,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from streamdet.errors import MAX_SHOWN, InputError, closest, shown
from streamdet.fields import PANELS, Field, Option, choices, help_texts, option_fields, options_from_keywords

_GROUPS = {name: Group(name, sort_key=place) for place, name in enumerate(PANELS)}
_ORDER = count()


class Command:
    """Wraps a function with one argument `options`, or none; cyclopts sees a parameter for every field of its class."""

    def __init__(self, function: Callable[..., int | None]) -> None:
        self._function = function
        self.__annotations__ = dict[str, Any]()  # cyclopts reads it in addition to the signature
        self.__doc__ = function.__doc__

    def __call__(self, *positional: Any, **named: Any) -> int | None:
        """Call the function with the options made of the values of a command line; returns its exit code."""
        return self._function(self.read(*positional, **named)) if self.options else self._function()

    def read(self, *positional: Any, **named: Any) -> Any:
        """Return the options made of the values of a command line; raises InputError."""
        return options_from_keywords(self.options, self.__signature__.bind(*positional, **named).arguments)

    @cached_property
    def options(self) -> Any:
        """The option class, None for a command that has no options."""
        return get_type_hints(self._function).get("options")

    @cached_property
    def __signature__(self) -> inspect.Signature:
        return signature(self.options) if self.options else inspect.Signature()


def command(app: App) -> Callable[[Callable[..., int | None]], Command]:
    """Return a decorator that makes a function on the top level of a module a command of `app`."""

    def register(function: Callable[..., int | None]) -> Command:
        # As an import path, so that cyclopts reads the signature of the called command only: one takes a millisecond.
        path = f"{function.__module__}:{function.__name__}"
        app.command(path, name=function.__name__, help=function.__doc__, sort_key=next(_ORDER))
        return Command(function)

    return register


def with_lone_hyphens(words: Iterable[str]) -> list[str]:
    """Return the words with ``--tracks -`` as ``--tracks=-``, and a lone hyphen as SOURCE behind ``--``.

    cyclopts would take it for an option.
    """
    joined, sources = list[str](), list[str]()
    for word in words:
        if word != "-" or "--" in joined:
            joined.append(word)
        elif joined and joined[-1].startswith("--") and "=" not in joined[-1]:
            joined[-1] += "=-"
        else:
            sources.append(word)
    return [*joined, "--", *sources] if sources else joined


def signature(options: Any) -> inspect.Signature:
    """Return a signature with the cyclopts parameters of all fields of the class `options`, required ones first."""
    texts, parameters = help_texts(options), list[inspect.Parameter]()
    for field in option_fields(options).values():
        if option := field.option:
            parameters.append(_parameter(field, option, texts[field.name]))
            if option.flag:
                parameters.append(_flag(field, option, option.flag))
    return inspect.Signature(sorted(parameters, key=lambda each: (each.kind, each.default is not each.empty)))


def _parameter(field: Field, option: Option, text: str) -> inspect.Parameter:
    has_default, is_flag = field.default is not MISSING, field.type is bool
    is_many = field.adds_up and option.positional
    parameter = Parameter(
        name=_names(field.name, option),
        help=text,
        group=_GROUPS[option.panel],
        required=not has_default,
        negative=(),
        metavar=_metavar(field, option),
        show_default=_default_text if has_default and not is_flag and field.default not in (None, ()) else False,
        converter=None if is_many or is_flag else partial(_read_all if field.adds_up else _read, field, option),
        n_tokens=0 if is_flag else 1,
        allow_repeating=True,
    )
    if is_many:
        return inspect.Parameter(field.name, inspect.Parameter.VAR_POSITIONAL, annotation=Annotated[str, parameter])
    # Not the type of the field: cyclopts has pydantic validate what `_read` returns, if pydantic is imported.
    hint: Any = bool if is_flag else list[Any] | None if field.adds_up else Any
    kind = inspect.Parameter.POSITIONAL_ONLY if option.positional else inspect.Parameter.KEYWORD_ONLY
    default = field.default if has_default else inspect.Parameter.empty
    return inspect.Parameter(field.name, kind, default=default, annotation=Annotated[hint, parameter])


def _flag(field: Field, option: Option, flag: str) -> inspect.Parameter:
    parameter = Parameter(
        name=f"--{flag}",
        help=f"Short for {_names(field.name, option)[0]} {flag}.",
        group=_GROUPS[option.panel],
        negative=(),
        show_default=False,
        allow_repeating=True,
    )
    return inspect.Parameter(flag, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, parameter])


def _names(name: str, option: Option) -> tuple[str, ...]:
    names = [option.name or name, *option.aliases]
    return tuple(each if option.positional else f"--{each.replace('_', '-')}" for each in names)


def _metavar(field: Field, option: Option) -> str:
    kinds = [kind.__name__.upper() for kind in (field.type, *get_args(field.type)) if kind in (int, float, Path)]
    if words := choices(field.type):
        return "|".join([*kinds, *words])
    return kinds[-1] if kinds and option.read is None else (option.name or field.name).upper()


def _default_text(default: Any) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _read(field: Field, option: Option, _: Any, tokens: Sequence[Token]) -> Any:
    """Return the value of an option from its only token; raises InputError."""
    (token,) = tokens
    name = token.keyword or (option.name or field.name).upper()
    try:
        value = (option.read or partial(_from_text, field.type))(token.value)
    except ValueError as error:
        raise InputError(f"{name} {error}, got {shown(token.value)}") from None
    field.check(name, value)
    return value


def _read_all(field: Field, option: Option, hint: Any, tokens: Sequence[Token]) -> tuple[Any, ...] | None:
    """Return the values of an option whose repetitions add up, None if all texts are empty; raises InputError."""
    read = [_read(field, option, hint, [token]) for token in tokens]
    lists = [each if isinstance(each, tuple) else (each,) for each in read if each is not None]
    return tuple(chain.from_iterable(lists)) or None


def _from_text(hint: Any, text: str) -> Any:
    """Return `text` as the type `hint`; raises ValueError, whose message continues the name of the option."""
    kinds = get_args(hint) or (hint,)
    for kind, words in ((int, "a whole number"), (float, "a number")):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                raise ValueError(f"must be {words}") from None
    return Path(text) if Path in kinds else text


def error_message(error: CycloptsError) -> str:
    """Return in one sentence what was expected on the command line and what was found."""
    if isinstance(error, UnknownOptionError):
        word = (error.token.keyword or error.token.value).partition("=")[0]
        names = [name for argument in error.argument_collection if argument.show for name in argument.names]
        return f"unknown option {word[:MAX_SHOWN]}{closest(word, [name for name in names if name.startswith('-')])}"
    if isinstance(error, UnknownCommandError) and error.unused_tokens and error.app:
        word = error.unused_tokens[0]
        is_option = word.startswith("-")
        known = closest(word, [name for name in error.app if name.startswith("-") == is_option])
        return f"unknown {'option' if is_option else 'command'} {word[:MAX_SHOWN]}{known}"
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"unexpected argument {error.unused_tokens[0][:MAX_SHOWN]}"
    if isinstance(error, MissingArgumentError) and error.keyword:
        return f"expected a value after {error.keyword}"
    if isinstance(error, MissingArgumentError) and error.argument:
        name = error.argument.name if error.argument.index is None else error.argument.name.lstrip("-").upper()
        asked = " ".join(["streamdet", *(error.command_chain or ())])
        return f"expected {name}, found none: {asked} --help tells what it is"
    if isinstance(error, CoercionError) and error.token:
        return f"{error.token.keyword} stands alone, got {shown(error.token.value)}"
    return str(error)
