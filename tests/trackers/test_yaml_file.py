"""The file of a tracker's settings: what it accepts, and the sentence for everything that it refuses."""

from pathlib import Path

import pytest

from trackers.config import read_config, shown


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbftracker_type: sort")
    assert read_config(tmp_path / "a.yaml").kind == "sort"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"a: &a [1]\nb: *a", "found the alias *a in line 2: state the value instead"),
        (b"tracker_type: sort\ntracker_type: ocsort", "found the key tracker_type twice, again in line 2"),
        (b"a: " + b"[" * 1000 + b"]" * 1000, "found values nested more than 20 deep in line 1"),
        (b"a: " + b"9" * 5000, "found a value of more than 80 characters in line 1"),
        (b"a: \xff", "found no UTF-8 text at byte 3"),
        (b"a: " + b"x" * 100_000, "found more than 100,000 bytes"),
        (b"1: 2", "found a key that is no word in line 1"),
        (b"? [a]\n: 1", "found a key that is no word in line 1"),
        (b"a: !!timestamp x", "found a value that is not of the type that its tag states"),
        (b"a: !!bool x", "found a value that is not of the type that its tag states"),
        (b'"\\e[31m": 1', "found a key that is no word in line 1"),
    ],
    ids=shown,
)
def test_what_no_tracker_needs_is_one_sentence(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ValueError) as refused:
        read_config(tmp_path / "a.yaml")
    assert str(refused.value) == f"{tmp_path}/a.yaml: expected a readable YAML file, {found}"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("tracker_type: [" + "x, " * 9999 + "x]", "tracker_type ['x', 'x', 'x', 'x', 'x', 'x', ...] is not known; "),
        ("tracker_type: sort\niou_thresh: '\\e[31m'", "iou_thresh is not a setting of sort; "),
        ("tracker_type: bytetrack\nmatch_thresh: " + "x" * 9999, "match_thresh must be a number, got 'xxx"),
    ],
    ids=shown,
)
def test_a_large_value_is_cut_in_the_message(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(ValueError) as refused:
        read_config(tmp_path / "a.yaml")
    message = str(refused.value).removeprefix(f"{tmp_path}/a.yaml: ")
    assert message.startswith(sentence)
    assert len(message) < 200


def test_a_name_of_300_letters_is_no_tracker() -> None:
    with pytest.raises(ValueError, match="expected a tracker's name or YAML file, found 'aaa"):
        read_config("a" * 300)
