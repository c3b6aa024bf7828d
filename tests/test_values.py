"""Values of options in Python: those of NumPy and collections are converted, all others are refused in a sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.options import RunOptions, TrackOptions
from streamdet.values import Keep, read_duration, read_keep, read_names

CLASSES = "a text or a whole number or a list of which each is a text or a whole number or None"


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("size", np.int64(160), 160),
        ("size", [384, 640], (384, 640)),
        ("size", np.array([384, 640]), (384, 640)),
        ("size", "384x640", (384, 640)),
        ("conf", np.float32(0.5), 0.5),
        ("conf", 1, 1),
        ("classes", np.array([0, 2]), [0, 2]),
        ("classes", "person, car", ("person", "car")),
        ("classes", {"car"}, ("car",)),
        ("classes", "person", ("person",)),
        ("classes", 0, 0),
        ("classes", np.int64(2), 2),
        ("classes", range(2), (0, 1)),
        ("every", np.int32(3), 3),
        ("every", "auto", "auto"),
        ("draw", np.bool_(True), True),
        ("reid", Path("a.onnx"), Path("a.onnx")),
    ],
)
def test_what_is_converted(name: str, given: Any, value: object) -> None:
    found = getattr(RunOptions(**{name: given}), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("size", 1.5, "size must be a whole number or (a whole number, a whole number) or None, got 1.5"),
        ("size", [1, 2, 3], "size must be a whole number or (a whole number, a whole number) or None, got [1, 2, 3]"),
        ("size", True, "size must be a whole number or (a whole number, a whole number) or None, got True"),
        ("size", "wide", "size must be a side such as 640 or HEIGHTxWIDTH such as 384x640, got 'wide'"),
        ("conf", "0.5", "conf must be a number, got '0.5'"),
        ("conf", None, "conf must be a number, got None"),
        ("conf", np.float32("nan"), "conf must be between 0 and 1, got nan"),
        ("max_det", 2.0, "max_det must be a whole number, got 2.0"),
        ("classes", 3.5, f"classes must be {CLASSES}, got 3.5"),
        ("classes", True, f"classes must be {CLASSES}, got True"),
        ("classes", [[0]], f"classes must be {CLASSES}, got [[0]]"),
        ("draw", 1, "draw must be True or False, got 1"),
        ("tracker", 3, "tracker must be a text or a path, got 3"),
    ],
)
def test_what_is_refused(name: str, given: object, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        RunOptions(**{name: given})  # type: ignore[arg-type]
    assert str(refused.value) == sentence


def test_several_sources_are_texts() -> None:
    assert list(TrackOptions(sources=["a.mp4", "b.mp4"]).sources) == ["a.mp4", "b.mp4"]  # type: ignore[arg-type]
    with pytest.raises(InputError, match="sources must be a list of which each is a text, got 'a"):
        TrackOptions(sources="a.mp4")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["person,traffic light", "person, traffic light", " person ,traffic light "])
def test_spaces_around_names_do_not_count(text: str) -> None:
    assert read_names(text) == ("person", "traffic light")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("7d", 604_800), ("1.5h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds
    assert read_keep(text) == Keep(age_s=seconds)


@pytest.mark.parametrize("text", ["", "m", "10 m", "-5s", "1e3", "10w", "9" * 5000])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="90s, 10m, 2h or 7d"):
        read_duration(text)
    with pytest.raises(ValueError, match="7d or a size such as 20GB"):
        read_keep(text)


def test_sizes_to_keep() -> None:
    assert read_keep("20GB") == Keep(size_bytes=20 * 10**9)
    assert read_keep("0.5 TB") == Keep(size_bytes=5 * 10**11)
