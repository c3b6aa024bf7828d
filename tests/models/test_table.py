import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from streamdet.errors import InputError
from streamdet.models.registry import Scale
from streamdet.models.table import ModelSpec, load_spec, resolve

Table = dict[str, Any]


def write(path: Path, table: Any) -> Path:
    path.write_text(yaml.safe_dump(table, sort_keys=False))
    return path


def first_width(spec: ModelSpec) -> Any:
    return spec.layers[0].args[1]


@pytest.mark.parametrize("name", ["yolov8s", "yolov8s.yaml"])
def test_a_shipped_table_is_found_by_name(name: str) -> None:
    spec = load_spec(name)
    assert (spec.name, spec.task, len(spec.class_names), spec.class_names[0]) == ("yolov8s", "detect", 80, "person")
    assert first_width(spec) == 32


def test_sources_are_absolute_and_arguments_resolved() -> None:
    layers = load_spec("yolov8m").layers
    assert (layers[11].sources, layers[11].args) == ((10, 6), (1,))
    assert (layers[10].block, layers[10].args) == ("nn.Upsample", (None, 2, "nearest"))
    assert (layers[4].repeats, layers[4].args) == (4, (192, 192, True))
    # Channels of the last stage are limited to 768 before they are scaled.
    assert layers[9].args == (576, 576, 5)


@pytest.mark.parametrize(
    ("file_name", "scale_key", "width"),
    [
        ("yolov8x.yaml", None, 80),  # the letter in the name
        ("yolov8x.yaml", "s", 80),  # which wins over the key
        ("mine.yaml", "s", 32),  # the key
        ("mine.yaml", None, 16),  # the first stated
        ("yolov8.yaml", None, 16),
    ],
)
def test_which_scale_a_file_has(
    tmp_path: Path, table: Table, file_name: str, scale_key: str | None, width: int
) -> None:
    file = write(tmp_path / file_name, table | ({"scale": scale_key} if scale_key else {}))
    assert first_width(load_spec(file)) == width


def test_factors_may_stand_without_scales(table: Table) -> None:
    del table["scales"]
    assert resolve(table | {"depth_multiple": 0.33, "width_multiple": 0.25}, "t") == resolve(
        table | {"scales": {"n": [0.33, 0.25, 1024]}}, "t"
    )


def test_class_names_default_to_numbers(table: Table) -> None:
    del table["names"]
    assert resolve(table | {"nc": 3}, "t").class_names == ("0", "1", "2")


def test_class_names_may_be_numbered(table: Table) -> None:
    assert resolve(table | {"nc": 2, "names": {1: "b", 0: "a"}}, "t").class_names == ("a", "b")


def replace_row(index: int, row: Any) -> Callable[[Table], None]:
    def change(table: Table) -> None:
        table["backbone"][index] = row

    return change


def replace_head(row: Any) -> Callable[[Table], None]:
    def change(table: Table) -> None:
        table["head"][-1] = row

    return change


def replace_key(key: str, value: Any) -> Callable[[Table], None]:
    def change(table: Table) -> None:
        table[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace_row(2, [-1, 3, "C2fg", [128]]), "t, row 2: unknown module 'C2fg'; did you mean 'C2f'?"),
        (replace_row(2, [-1, 3, "C2f"]), "t, row 2: expected [from, repeats, module, args], found [-1, 3, 'C2f']"),
        (replace_row(2, "C2f"), "t, row 2: expected [from, repeats, module, args], found 'C2f'"),
        (replace_row(2, [["x"], 3, "C2f", [128]]), "t, row 2: expected [from, repeats, module, args], found "),
        (replace_row(2, [-1, 0, "C2f", [128]]), "t, row 2: expected 1 to 2000 repeats, found 0"),
        (replace_row(2, [5, 3, "C2f", [128]]), "t, row 2: expected it to read rows before it, found [5]"),
        (replace_row(2, [-4, 3, "C2f", [128]]), "t, row 2: expected it to read rows before it, found [-2]"),
        (replace_row(2, [[-1, 0], 3, "C2f", [128]]), "t, row 2: C2f reads one row, found [1, 0]"),
        (
            replace_row(2, [-1, 3, "C2f", ["wide"]]),
            "t, row 2 (C2f): expected a whole number from 1 to 1000000 as channels, found 'wide'",
        ),
        (
            replace_row(2, [-1, 3, "C2f", [10**400]]),
            "t, row 2 (C2f): expected a whole number from 1 to 1000000 as channels, found 1000",
        ),
        (
            replace_row(2, [-1, 3, "C2f", []]),
            "t, row 2 (C2f): expected a whole number from 1 to 1000000 as channels, found None",
        ),
        (
            replace_row(2, [-1, 1, "Conv", [64, 3, 0]]),
            "t, row 2 (Conv): expected a whole number from 1 to 1000000 as stride, found 0",
        ),
        (
            replace_row(2, [-1, 3, "C2f", [{"a": 1}]]),
            "t, row 2: expected numbers, words or lists of whole numbers as args, found {'a': 1}",
        ),
        (
            replace_row(2, [-1, 1, "nn.Upsample", ["None", 3]]),
            "t, row 2 (nn.Upsample): expected a factor that divides the stride of 4 px, found 3",
        ),
        (
            replace_row(2, [[-1, 0], 1, "Concat", [1]]),
            "t, row 2 (Concat): expected maps of one size, found strides of 2 and 4 px",
        ),
        (replace_head([-1, 3, "C2f", [64]]), "t: expected a head for the task 'detect' as the last row, found C2f"),
        (replace_head([[15], 1, "Detect", [3]]), "t: expected names for 3 classes, found 80"),
        (replace_key("nc", "many"), "t: expected nc, the number of classes, from 1 to 10000, found 'many'"),
        (replace_key("nc", 10**9), "t: expected nc, the number of classes, from 1 to 10000, found 1000000000"),
        (replace_key("nc", 3), "t: expected names for 3 classes, found 80"),
        (replace_key("names", {1: "a", 2: "b"}), "t: expected class names as a list or numbered from 0, found dict"),
        (
            replace_key("activation", "nn.PReLU()"),
            "t: expected one of the activations GELU, Hardswish, LeakyReLU, Mish, ReLU, ReLU6, SiLU, found 'PReLU'",
        ),
        (replace_key("activation", "open('a')"), "t: expected one of the activations GELU, Hardswish, "),
        (replace_key("activation", "nn.ReLU(open('a'))"), "t: expected an activation such as nn.ReLU(), found "),
        (replace_key("activation", "nn.ReLU("), "t: expected an activation such as nn.ReLU(), found 'nn.ReLU('"),
        (replace_key("activation", "(" * 10**6), "t: expected an activation such as nn.ReLU(), found '((((("),
        (replace_key("act", True), "t: expected an activation such as nn.ReLU(), found True"),
        (replace_key("act", "nn.ReLU(0.1, 2)"), "t: expected an activation with inplace, found 'nn.ReLU(0.1, 2)'"),
        (replace_key("act", "nn.LeakyReLU('x')"), "t: expected another negative_slope of LeakyReLU, found 'x'"),
        (replace_key("act", "nn.LeakyReLU(1e999)"), "t: expected another negative_slope of LeakyReLU, found inf"),
        (replace_key("act", "nn.GELU(approximate='x')"), "t: expected another approximate of GELU, found 'x'"),
        (replace_key("backbones", []), "t: unknown key 'backbones'; did you mean 'backbone'?"),
        (replace_key("backbone", None), "t: expected rows under 'backbone', found NoneType"),
        (replace_key("ch", 1), "t: expected 3 input channels, found 1"),
        (replace_key("scales", ["n"]), "t: expected scales such as {n: [0.33, 0.25, 1024]}, found ['n']"),
        (replace_key("scales", {"n": [1, "2"]}), "t: expected a scale [depth, width, max_channels], found [1, '2']"),
        (replace_key("scales", {"n": [1]}), "t: expected a scale [depth, width, max_channels], found [1]"),
        (replace_key("scale", "q"), "t: unknown scale 'q'; known: l, m, n, s, x"),
        (replace_row(2, [-1, 10**400, "C2f", [128]]), "t, row 2: expected 1 to 2000 repeats, found 1000"),
        (replace_key("scales", {"n": [300, 1]}), "t: expected at most 2000 layers, found "),
    ],
)
def test_what_is_wrong_with_a_table_is_said_by_row(table: Table, change: Callable[[Table], None], message: str) -> None:
    change(table)
    with pytest.raises(InputError) as caught:
        resolve(table, "t")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("yolov8q", "unknown scale 'q'"),
        ("yolov9n", "unknown model 'yolov9n'; did you mean 'yolov8n'?"),
        ("resnet", "unknown model 'resnet'"),
        ("no/such/yolov8n.yaml", "expected a model name such as yolov8n or a YAML file, found 'no/such/yolov8n.yaml'"),
        ("model.txt", "expected a model name such as yolov8n or a YAML file, found 'model.txt'"),
        ("", "unknown model ''"),
    ],
)
def test_a_name_that_stands_for_no_table(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        load_spec(name)


@pytest.mark.parametrize(
    "content", [b"", b"just text", b"a: [1, 2", b"\xff\xfe\x00", b"- 1\n- 2\n", b"[" * 5000, b"a: 2024-99-99"]
)
def test_a_file_that_is_no_table(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"broken.*: expected ") as caught:
        load_spec(file)
    assert "\n" not in str(caught.value)


@given(stated=st.integers(1, 4096), width=st.floats(0.05, 2), limit=st.integers(8, 2048))
def test_channels_are_the_next_multiple_of_eight(stated: int, width: float, limit: int) -> None:
    channels = Scale(1.0, width, limit).channels(stated)
    wanted = min(stated, limit) * width
    assert channels % 8 == 0
    assert wanted <= channels < wanted + 8


@given(stated=st.integers(1, 100), depth=st.floats(0.01, 3))
def test_repeats_scale_but_never_vanish(stated: int, depth: float) -> None:
    repeats = Scale(depth).repeats(stated)
    assert repeats >= 1
    assert repeats == 1 or abs(repeats - stated * depth) <= 0.5
    assert Scale(depth).repeats(1) == 1
    assert Scale(max_channels=math.inf).repeats(stated) == stated


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=5)))
def test_no_row_whatever_ends_in_anything_but_a_network_or_a_sentence(row: Any) -> None:
    table = {"nc": 1, "backbone": [row], "head": [[0, 1, "Detect", ["nc"]]]}
    with pytest.raises(InputError, match=r"^t, row 0"):
        resolve(table, "t")


def test_a_shipped_table_is_found_by_its_name() -> None:
    assert load_spec("embedded").class_names == ("person", "bicycle", "car", "motorcycle", "bus", "truck")
    assert load_spec("yolov8").layers == load_spec("yolov8n").layers
