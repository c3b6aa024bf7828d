"""Values of options: as Python gives them, checked against the type of the option, and as texts state them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", type(None): "None"}
Size = int | tuple[int, int]
Suppression = Literal["greedy", "diou", "soft", "soft-linear", "matrix", "matrix-linear", "none"]  # NMS by name
_MAX_SIDE_DIGITS = 5
_MAX_DIGITS = 18  # of a number of frames
_UNIONS = (Union, type(int | str))  # as ``Optional[int]`` and as ``int | None``


def converted(hint: Any, value: Any, read: Callable[[str], Any] | None) -> Any:
    """Return `value` as the type `hint`; raises ValueError, whose message continues the name of the option.

    Scalars and arrays of NumPy become those of Python, collections become tuples, and a text is read by `read`, if
    there is such a function, as on the command line.
    """
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str) and read is not None:
        return read(value)
    if fits(hint, value):
        return value
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        items = tuple(converted(Any, item, None) for item in value)
        if fits(hint, items):
            return items
    raise ValueError(f"must be {_in_words(hint)}")


def fits(hint: Any, value: Any) -> bool:
    """Return whether `value` is of the type `hint`; a whole number is a number too, but a truth value is none."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in _UNIONS:
        return any(fits(each, value) for each in args)
    if origin is Literal:
        return isinstance(value, str)  # which words are allowed is checked elsewhere, with a list of them
    if origin is tuple and args[-1] is not ...:
        return isinstance(value, tuple) and len(value) == len(args) and all(map(fits, args, value))
    if origin in (tuple, Sequence):
        return isinstance(value, list | tuple) and all(fits(args[0], item) for item in value)
    if hint in (int, float):
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    return hint is Any or isinstance(value, hint)


def _in_words(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin in _UNIONS:
        return " or ".join(dict.fromkeys(map(_in_words, args)))
    if origin is tuple and args[-1] is not ...:
        return f"({', '.join(map(_in_words, args))})"
    if origin in (tuple, Sequence):
        return f"a list of which each is {_in_words(args[0])}"
    return "a path" if hint is Path else "a text" if origin is Literal else _WORDS.get(hint, str(hint))


def read_size(text: str) -> Size:
    """Return 640 for "640" and (384, 640) for "384x640"."""
    try:
        words = text.lower().split("x")
        sides = [int(word) for word in words if len(word) <= _MAX_SIDE_DIGITS]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2) or len(sides) != len(words):
        raise ValueError("must be a side such as 640 or HEIGHTxWIDTH such as 384x640")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def read_names(text: str) -> tuple[str, ...] | None:
    """Return ("person", "car") for "person, car", None for an empty text."""
    return tuple(name.strip() for name in text.split(",")) if text else None


def read_every(text: str) -> int | Literal["auto"]:
    """Return "auto", or the whole number from 1 in `text`."""
    if text == "auto":
        return "auto"
    if not text.isdecimal() or len(text) > _MAX_DIGITS or int(text) < 1:
        raise ValueError("must be auto or a whole number from 1")
    return int(text)


@dataclass(frozen=True, slots=True)
class Keep:
    """How much of a recording is kept: what is younger than `age_s`, at most `size_bytes`; None for no limit."""

    age_s: float | None = None
    size_bytes: int | None = None


def read_duration(text: str) -> float:
    """Return 600.0 for "10m": a number of s, or one with the unit s, m, h or d."""
    if match := re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd]?)", text.strip()):
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
    raise ValueError("must be a time such as 90s, 10m, 2h or 7d")


def read_keep(text: str) -> Keep:
    """Return the limit that "7d" or "20GB" states."""
    if match := re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?([MGT])B", text.strip()):
        return Keep(size_bytes=int(float(match[1]) * {"M": 10**6, "G": 10**9, "T": 10**12}[match[2]]))
    try:
        return Keep(age_s=read_duration(text))
    except ValueError:
        raise ValueError("must be a time such as 7d or a size such as 20GB") from None
