import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.errors import InputError
from streamdet.models.unpickle import Global, Machine, StandIn

CALLS: dict[Global, Callable[..., Any]] = {Global("collections", "OrderedDict"): dict}


def run(program: bytes) -> Any:
    return Machine(CALLS, frozenset(), persistent=lambda reference: ("ref", reference)).run(program)


def body(value: Any) -> bytes:
    """The instructions that leave `value`, without start and stop."""
    return pickle.dumps(value, 2)[2:-1]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner, inner, inner)
    ),
    max_leaves=20,
)


@given(value=plain, protocol=st.sampled_from([2, 3, 4, 5]))
def test_plain_data_reads_as_pickle_reads_it(value: Any, protocol: int) -> None:
    assert run(pickle.dumps(value, protocol)) == value


def test_shared_and_recursive_containers_keep_their_identity() -> None:
    shared: list[Any] = [1]
    shared.append(shared)
    first, second = run(pickle.dumps((shared, shared), 2))
    assert first is second
    assert first[1] is first


def test_allowed_calls_run_our_function_and_references_are_resolved() -> None:
    assert run(pickle.dumps(OrderedDict(a=1, b=[2]), 2)) == {"a": 1, "b": [2]}
    assert run(b"\x80\x02" + body("key") + b"Q.") == ("ref", "key")


@pytest.mark.parametrize("protocol", [2, 4])
def test_an_unknown_class_leaves_a_stand_in_with_its_attributes(protocol: int) -> None:
    error = InputError("text")
    error.extra = [1, 2]  # type: ignore[attr-defined]
    value = run(pickle.dumps(error, protocol))
    assert type(value) is StandIn
    assert value.type == ("streamdet.errors", "InputError")
    assert value.state == {"extra": [1, 2]}


def test_attributes_of_a_stand_in_are_entries_of_a_dict_whatever_their_names() -> None:
    attributes = {"__class__": 1, "__dict__": {"type": 2}, "__setstate__": 3, "state": 4}
    value = run(b"\x80\x02cother\nThing\n)\x81" + body(attributes) + b"b.")
    assert type(value) is StandIn
    assert (value.type, value.state) == (("other", "Thing"), attributes)


def test_attributes_in_slots_are_kept() -> None:
    assert run(b"\x80\x02cother\nThing\n)\x81" + body((None, {"slot": 7})) + b"b.").state == {"slot": 7}


def test_entries_and_items_of_a_stand_in_are_dropped() -> None:
    assert run(b"\x80\x02cother\nThing\n)R(" + body(1) + body(2) + b"u(" + body(3) + b"e.").state == {}


def test_attributes_of_a_dict_change_nothing() -> None:
    assert run(b"\x80\x02}" + body({"__class__": 1, "keys": 2}) + b"b.") == {}


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02.",
        b"\x80\x02e.",
        b"\x80\x02\x86.",
        b"\x80\x02h\x05.",
        b"\x80\x02]K\x01K\x02s.",
        b"\x80\x02K\x01K\x02b.",
        b"\x80\x02}]K\x01s.",
        b"\x80\x04K\x01K\x02\x93.",
        b"\x80\x02X\xff\xff\xff\x7fshort.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"S'\\e'\n.",  # an escape that is none
    ],
)
def test_a_damaged_program_is_one_sentence(program: bytes) -> None:
    with pytest.raises(InputError, match=r"^its pickle "):
        run(program)


def test_a_key_nested_so_deeply_that_hashing_it_ends_the_process_is_refused() -> None:
    deep = b")" + b"\x85" * 300_000
    with pytest.raises(InputError, match="a tuple as a key"):
        run(b"\x80\x02}" + deep + b"K\x01s.")
    with pytest.raises(InputError, match="it tries to call a tuple"):
        run(b"\x80\x02" + deep + b")R.")


def test_a_name_that_holds_a_line_break_stays_on_one_line() -> None:
    with pytest.raises(InputError, match=r"^it tries to call os\.\\nsystem, and a checkpoint may only hold data"):
        run(b"\x80\x04\x8c\x02os\x8c\x07\nsystem\x93)R.")


@given(st.data())
def test_any_change_to_a_program_ends_in_a_value_or_a_sentence(data: st.DataObject) -> None:
    program = bytearray(pickle.dumps({"model": InputError("x"), "rows": [[-1, 1, "Conv", (64, 3.5)], None]}, 2))
    for position in data.draw(st.lists(st.integers(0, len(program) - 1), min_size=1, max_size=6)):
        program[position] = data.draw(st.integers(0, 255))
    try:
        run(bytes(program))
    except InputError as error:
        assert "\n" not in str(error)
