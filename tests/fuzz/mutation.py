"""Inputs that are nearly right: a right one with a few random edits."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_BYTES = 100_000  # of an input that repeated edits lengthen

_NUMBERS = (b"0", b"-1", b"nan", b"inf", b"-inf", b"1e308", b"1e-320", b"0.5", b"1_0", b"0x7f", b"1" * 20, b"9" * 5000)
_WORDS = (
    *(
        b"",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\r\n",
        b"\n\n",
        b"\t",
        b",",
        b" ",
        b";",
        b"\x1b[31m",
        b"\xc3\xbc",
    ),
    *(b"../", b"/dev/null", b"~", b"*", b"?", b"[", b"]", b"{", b"}", b": ", b"- ", b"#", b"'", b'"', b"%", b"null"),
    *(b"yes", b"no", b"true", b"-", b"--", b"=", b"&a ", b"*a", b"<<: ", b"!!float x", b"!!timestamp x", b"!!int ''"),
    *(b"[" * 2000, b"x" * 300, b"- &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"),
)
Edit = Callable[[np.random.Generator, bytes], bytes]


def mutated(rng: np.random.Generator, content: bytes) -> bytes:
    """Return `content` with one to four random edits."""
    for _ in range(rng.integers(1, 5)):
        content = _EDITS[rng.integers(len(_EDITS))](rng, content)
    return content[:MAX_BYTES]


def _slice(rng: np.random.Generator, content: bytes) -> slice:
    start = int(rng.integers(len(content) + 1))
    return slice(start, start + int(rng.integers(1, max(len(content) // 4, 2))))


def _flip(rng: np.random.Generator, content: bytes) -> bytes:
    flipped = bytearray(content)
    for place in rng.integers(0, max(len(content), 1), rng.integers(1, 9)) if content else ():
        flipped[place] ^= 1 << int(rng.integers(8))
    return bytes(flipped)


def _cut(rng: np.random.Generator, content: bytes) -> bytes:
    cut = _slice(rng, content)
    return content[: cut.start] + content[cut.stop :]


def _repeat(rng: np.random.Generator, content: bytes) -> bytes:
    part = _slice(rng, content)
    return content[: part.start] + content[part] * int(rng.integers(2, 20)) + content[part.stop :]


def _truncate(rng: np.random.Generator, content: bytes) -> bytes:
    return content[: int(rng.integers(len(content) + 1))]


def _insert(rng: np.random.Generator, content: bytes) -> bytes:
    place = int(rng.integers(len(content) + 1))
    return content[:place] + _WORDS[rng.integers(len(_WORDS))] + content[place:]


def _renumber(rng: np.random.Generator, content: bytes) -> bytes:
    numbers = list(re.finditer(rb"-?\d+(?:\.\d+)?", content))
    if not numbers:
        return content
    start, end = numbers[rng.integers(len(numbers))].span()
    return content[:start] + _NUMBERS[rng.integers(len(_NUMBERS))] + content[end:]


def _reorder(rng: np.random.Generator, content: bytes) -> bytes:
    lines = content.split(b"\n")
    return b"\n".join(lines[place] for place in rng.permutation(len(lines)))


_EDITS: tuple[Edit, ...] = (_flip, _cut, _repeat, _truncate, _insert, _insert, _renumber, _renumber, _reorder)


def mutated_archive(rng: np.random.Generator, content: bytes) -> bytes:
    """Return a NumPy archive with one array changed in type, shape, values or name; one in four as by `mutated`."""
    if rng.random() < 0.25:
        return mutated(rng, content)
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    name = sorted(arrays)[rng.integers(len(arrays))]
    changes: tuple[Callable[[np.ndarray[Any, Any]], Any], ...] = (
        lambda array: array.astype(_DTYPES[rng.integers(len(_DTYPES))]) if array.dtype.kind in "fiub" else array[None],
        lambda array: array[None],
        lambda array: array.repeat(2, axis=0) if array.ndim else array,
        lambda array: np.full_like(array, _VALUES[rng.integers(len(_VALUES))]) if array.dtype.kind in "fi" else array,
        lambda array: _rewritten(rng, array),
    )
    arrays[name] = changes[rng.integers(len(changes))](arrays[name])
    if rng.random() < 0.2:
        arrays[f"{name}/more"] = arrays.pop(name)
    written = io.BytesIO()
    np.savez(written, **arrays)
    return written.getvalue()


_DTYPES = ("f4", "f8", "i8", "i4", "u1", "c8", "?", "S3", ">f8")
_VALUES = (-(2**63), 2**62, -1, 0, 10**9)


def _rewritten(rng: np.random.Generator, array: np.ndarray[Any, Any]) -> Any:
    """Return a text array with the value of one key of its JSON changed; another array as it is."""
    if array.dtype.kind != "U" or array.ndim:
        return array
    stated = json.loads(str(array))
    key = sorted(stated)[rng.integers(len(stated))]
    odd: tuple[Any, ...] = (None, -1, 10**30, "x", [], {}, [[]], "1/0", float("nan"), True)
    return np.array(json.dumps(stated | {key: odd[rng.integers(len(odd))]}))
