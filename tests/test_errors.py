"""What a caller can tell by the type of an error."""

import pytest

import streamdet
from streamdet import errors

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
