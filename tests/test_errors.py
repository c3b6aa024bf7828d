"""What a caller can tell by the type of an error, and how its message shows the values of others."""

from typing import Any

import pytest

import streamdet
from streamdet import errors
from streamdet.errors import MAX_SHOWN, InputError, closest, shown

KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.StreamdetError)
}


def test_every_error_is_public() -> None:
    assert {name: getattr(streamdet, name) for name in KINDS} == KINDS
    assert set(KINDS) <= set(streamdet.__all__)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_bad_input_ends_the_command_line_with_2_and_all_else_with_1(name: str) -> None:
    assert KINDS[name].exit_code == (2 if issubclass(KINDS[name], errors.InputError) else 1)


def nested(levels: int) -> list[Any]:
    """A list of nine lists of nine lists: each level is stored once, and written out it has 9^levels ones."""
    value: list[Any] = [1] * 9
    for _ in range(levels):
        value = [value] * 9
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("cat", "'cat'"),
        ([1, 2], "[1, 2]"),
        ("red \x1b[31m\n\u202e", "'red \\x1b[31m\\n\\u202e'"),
        ("\udcff", "'\\udcff'"),
        (10**5000, "a number of 16610 bits"),
        (None, "None"),
    ],
    ids=shown,
)
def test_a_value_is_shown_as_python_writes_it(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    "value", ["x" * 10**7, list(range(10**5)), {i: [i] * 99 for i in range(99)}, b"\x00" * 999], ids=shown
)
def test_a_large_value_is_cut(value: object) -> None:
    assert len(shown(value)) <= MAX_SHOWN
    assert "..." in shown(value) or "…" in shown(value)


def test_a_value_whose_text_would_fill_the_memory_is_cut_before_it_is_written() -> None:
    assert shown(nested(40)).startswith("[[[[...], [...], ")


def test_a_message_is_one_line_that_controls_no_terminal() -> None:
    assert str(InputError("a\x1b[2J.mp4:\r\nno é\u202e")) == "a\\x1b[2J.mp4:\\r\\nno é\\u202e"


@pytest.mark.parametrize(
    ("name", "known", "end"),
    [
        ("persn", ["person", "car"], "; did you mean 'person'?"),
        ("x", ["person", "car"], "; known: car, person"),
        ("z" * 10**6, ["cat", "y" * 10**6], "; known: cat, and 1 more"),
        ("?", [f"name {i}" for i in range(10_000)], ", and 9960 more"),
    ],
    ids=shown,
)
def test_known_names_are_listed_as_far_as_a_sentence_goes(name: str, known: list[str], end: str) -> None:
    assert closest(name, known).endswith(end)
    assert len(closest(name, known)) < 500
