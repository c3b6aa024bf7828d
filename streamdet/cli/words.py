"""What fingers type that know other programs: ``imgsz=640``, SOURCE by its name, and names that ours replace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from streamdet.errors import InputError
from streamdet.fields import Field, help_texts, option_fields

_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_ASSIGNMENT = re.compile(r"([A-Za-z]\w*)=(.*)", re.DOTALL)


def translated(words: Iterable[str], options: Any) -> list[str]:
    """Return the words behind the name of a command, as the command that takes the class `options` spells them.

    - ``imgsz=640`` becomes ``--imgsz=640``, and of a switch that is given as true or false a switch or nothing, unless
      there is a file of that name.
    - The option ``source`` becomes SOURCE, where that is the only argument without a name.

    Raises InputError for the name of another program's option, with the option of ours that takes its place.
    """
    spelled = {name: field for field in option_fields(options).values() if field.option for name in _names(field)}
    positional = [name for name, field in spelled.items() if field.option and field.option.positional]
    result, rest = list[str](), iter(words)
    for word in rest:
        if word == "--":
            return [*result, word, *rest]
        name, equals, value = _as_option(word).partition("=")
        if not name.startswith("--"):
            result.append(word)
            continue
        _refuse_foreign(name, options)
        field = spelled.get(name)
        if field is None or field.type is bool or (field.option and name == f"--{field.option.flag}"):
            result += _switch(name, value) if equals else [name]
        else:
            given = [value] if equals else list(islice(rest, 1))
            result += given if [name] == positional else [f"{name}={value}"] if equals else [name, *given]
    return result


def _names(field: Field) -> Iterator[str]:
    """Yield all names of an option, with hyphens in front."""
    if option := field.option:
        for name in (option.name or field.name, *option.aliases, *([option.flag] if option.flag else [])):
            yield _hyphened(name)


def _hyphened(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _as_option(word: str) -> str:
    """Return ``--imgsz=640`` for ``imgsz=640``, unless there is a file of that name; any other word as it is."""
    match = _ASSIGNMENT.fullmatch(word)
    return word if match is None or _is_file(word) else f"{_hyphened(match[1])}={match[2]}"


def _is_file(word: str) -> bool:
    try:
        return Path(word).exists()
    except (OSError, ValueError):  # no file can have that name
        return False


def _switch(name: str, value: str) -> list[str]:
    """Return the words for a switch, or an unknown option, that is given with a value."""
    if value.lower() in _TRUE:
        return [name]
    return [] if value.lower() in _FALSE else [f"{name}={value}"]


def _refuse_foreign(name: str, options: Any) -> None:
    for field in option_fields(options).values():
        if field.option and name in map(_hyphened, field.option.instead_of):
            ours, text = _hyphened(field.option.name or field.name), help_texts(options)[field.name]
            raise InputError(f"unknown option {name}; here it is {ours}: {text[:1].lower()}{text[1:].rstrip('.')}")
