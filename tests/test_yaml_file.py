"""The one reader of YAML files: what it accepts, and the sentence for everything that it refuses."""

from pathlib import Path

import pytest

from streamdet.errors import InputError, shown
from streamdet.yaml_file import read_yaml


def bomb(levels: int) -> str:
    """A few hundred bytes that state 9^levels values by aliases."""
    lines = ["a: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", {}),
        (b"# nothing but words", {}),
        (b"\xef\xbb\xbfnames: [cat]", {"names": ["cat"]}),
        (b"base: &b {x: 1}\nmine: {<<: *b, x: 2, y: 3}", {"base": {"x": 1}, "mine": {"x": 2, "y": 3}}),
        (
            b"names: [0, yes, no, ~, 1.10, 007, 2024-01-01]",
            {"names": ["0", "yes", "no", "~", "1.10", "007", "2024-01-01"]},
        ),
        (b"names: {0: on, 1: off}\nflag: on", {"names": {0: "on", 1: "off"}, "flag": True}),
        (b"names: 3", {"names": 3}),
        (b"a: 1\nb: [1.5, false]", {"a": 1, "b": [1.5, False]}),
    ],
    ids=shown,
)
def test_what_a_file_states(tmp_path: Path, content: bytes, expected: object) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    assert read_yaml(tmp_path / "a.yaml", "settings", as_written=("names",)) == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"- cat\n- dog", "keys and values were expected at the top, found ['cat', 'dog']"),
        (b"a: 1\nb: 2\na: 3", "line 3: the key 'a' is stated twice"),
        (b"a: {b: 1, b: 2}", "line 1: the key 'b' is stated twice"),
        (b"a: \xff", "byte 3 is no UTF-8 text"),
        (b"a: \x1b", "unacceptable character #x001b: control characters are not allowed"),
        (b"a: [1", "line 2: did not find expected ',' or ']'"),
        (b"a: " + b"[" * 100 + b"]" * 100, "line 1: it is nested more than 20 deep"),
        (b"a: " + b"[" * 5000 + b"]" * 5000, "line 1: exceeded maximum nesting depth"),
        (b"a: " + b"9" * 5000, "line 1: expected a value of at most 100 characters, found '999"),
        (b"a: &a [*a]", "line 1: no value is complete that *a names"),
        (b"a: *b", "line 1: no value is complete that *b names"),
        (bomb(9).encode(), "it states more than 100,000 values"),
        (bomb(60).encode(), "it states more than 100,000 values"),
        (b"a: [" + b"1," * 200_000 + b"1]", "it states more than 100,000 values"),
        (b"a: " + b"x" * 1_000_000, "it is larger than 1,000,000 bytes"),
        (b"yes: 1", "line 1: expected words or whole numbers as keys, found 'yes'"),
        (b"? [a]\n: 1", "line 1: expected words or whole numbers as keys, found a list or a mapping"),
        (b"a: 1\n---\nb: 2", "line 2: but found another document"),
        (b"a: 2024-13-45", "month must be in 1..12"),
        (b"a: !!timestamp x", "a value is not of the type that its tag states"),
        (b"a: !!int ''", "a value is not of the type that its tag states"),
        (b"a: !!python/name:os.system x", "line 1: could not determine a constructor for the tag"),
    ],
    ids=shown,
)
def test_what_no_file_of_settings_needs_is_one_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_yaml(tmp_path / "a.yaml", "a data file")
    sentence = f"{tmp_path}/a.yaml: expected a data file in YAML, but it cannot be read: {reason}"
    assert str(refused.value).startswith(sentence)
    assert len(str(refused.value)) < len(sentence) + 100


@pytest.mark.parametrize(
    ("name", "reason"),
    [("gone.yaml", "No such file or directory"), ("", "Is a directory"), ("a" * 300, "File name too long")],
)
def test_a_file_that_cannot_be_opened(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"expected settings in YAML, but it cannot be read: {reason}"):
        read_yaml(tmp_path / name, "settings")
