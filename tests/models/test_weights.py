import io
import json
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from streamdet.errors import InputError, OutputError
from streamdet.models.table import ModelSpec
from streamdet.models.weights import LoadedModel, Network, load_model, save_safetensors

RuleNetwork = Callable[[ModelSpec], Network]


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[nn.Module]]:
    """A model class of a package that is gone once the checkpoint is written."""
    package = types.ModuleType("foreign_package")
    monkeypatch.setitem(sys.modules, "foreign_package", package)

    class DetectionModel(nn.Module):
        __module__ = "foreign_package"
        __qualname__ = "DetectionModel"

    package.DetectionModel = DetectionModel  # type: ignore[attr-defined]
    yield DetectionModel


def checkpoint_model(foreign: type[nn.Module], network: Network, table: Any, names: Any) -> nn.Module:
    """Return a model as other packages pickle theirs: layers, the table and the class names as attributes."""
    model = foreign()
    model.__dict__.update(yaml=table, names=names)
    model.add_module("model", network.model)
    return model


def save(path: Path, content: Any) -> Path:
    torch.save(content, path)
    sys.modules.pop("foreign_package", None)
    return path


def same_state(found: Network, expected: Network) -> bool:
    ours, theirs = found.state_dict(), expected.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_the_real_checkpoint_loads_in_eval_mode_and_float32(data: Path) -> None:
    model = load_model(data / "weights" / "yolov8n.pt")
    assert (model.stride, len(model.class_names), model.class_names[2]) == (32, 80, "car")
    assert not model.module.training
    assert {p.dtype for p in model.module.parameters()} == {torch.float32}
    assert not any(p.is_meta for p in model.module.state_dict().values())


def test_a_checkpoint_loads_without_the_package_that_wrote_it(
    tmp_path: Path, foreign: type[nn.Module], tiny: ModelSpec, tiny_table: dict[str, Any], rule_network: RuleNetwork
) -> None:
    network = rule_network(tiny)
    content = {"epoch": 3, "ema": None, "model": checkpoint_model(foreign, network, tiny_table, ["cat", "dog"])}
    file = save(tmp_path / "custom.pt", content)
    with pytest.raises(ModuleNotFoundError):
        torch.load(file, weights_only=False)
    model = load_model(file)
    assert model.class_names == ("cat", "dog")
    assert same_state(model.module, network)


def test_half_precision_is_widened_and_averaged_weights_come_first(
    tmp_path: Path, foreign: type[nn.Module], tiny: ModelSpec, tiny_table: dict[str, Any], rule_network: RuleNetwork
) -> None:
    averaged, last = rule_network(tiny).half(), Network(tiny)
    names = {0: "cat", 1: "dog"}
    content = {
        key: checkpoint_model(foreign, net, tiny_table, names) for key, net in (("model", last), ("ema", averaged))
    }
    model = load_model(save(tmp_path / "custom.pt", content))
    assert same_state(model.module, averaged.float())


def test_a_checkpoint_of_another_architecture_names_the_first_unknown_module(
    tmp_path: Path, foreign: type[nn.Module], tiny: ModelSpec, tiny_table: dict[str, Any]
) -> None:
    tiny_table["head"][-1] = [[15, 18, 21], 1, "WorldDetect", ["nc", 512, False]]
    stored = checkpoint_model(foreign, Network(tiny), tiny_table, {0: "cat", 1: "dog"})
    with pytest.raises(InputError, match=r"world\.pt, row 22: unknown module 'WorldDetect'"):
        load_model(save(tmp_path / "world.pt", {"model": stored}))


def test_a_checkpoint_that_segments_is_read(data: Path) -> None:
    model = load_model(data / "weights" / "yolov8n-seg.pt")
    assert (model.spec.task, model.class_names[0], len(model.class_names)) == ("segment", "person", 80)
    assert sum(each.numel() for each in model.module.parameters()) == 3_409_968


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nc": 3}, r"expected names for 3 classes, found 2"),
        ({"scales": {"n": [0.33, 0.25, 1024]}}, r"expected model\.0\.conv\.weight as torch\.float32 \(16, 3, 3, 3\), "),
        ({"scales": {"n": [1.0, 0.125, 1024]}}, r"expected \d+ tensors, but 'model\.\d+\.m\..*' is missing"),
        ({"scales": {"n": [0.1, 0.125, 1024]}}, r"expected \d+ tensors, but there is 'model\.\d+\.m\..*' too"),
    ],
)
def test_tensors_that_do_not_fit_the_table_are_named(
    tmp_path: Path,
    foreign: type[nn.Module],
    tiny: ModelSpec,
    tiny_table: dict[str, Any],
    change: dict[str, Any],
    message: str,
) -> None:
    model = checkpoint_model(foreign, Network(tiny), tiny_table | change, ["a", "b"])
    with pytest.raises(InputError, match=message):
        load_model(save(tmp_path / "custom.pt", {"model": model}))


def test_a_checkpoint_without_its_table_is_refused(tmp_path: Path, foreign: type[nn.Module], tiny: ModelSpec) -> None:
    file = save(tmp_path / "custom.pt", {"model": checkpoint_model(foreign, Network(tiny), None, None)})
    with pytest.raises(
        InputError,
        match=r"custom\.pt states no architecture, only tensors such as 'model\.0\.bn\.bias': if they are of YOLOv5 or",
    ):
        load_model(file)


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"\x80\x02N.")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a checkpoint written by torch.save, found an empty file"),
        (b"not a model, only words", "expected a checkpoint written by torch.save, found a text file"),
        (b"PK\x03\x04 and then nothing", "found a truncated or damaged archive"),
        (b"\x80\x02N.", "found a bare pickle, the format of PyTorch before 1.6"),
        (b"\xff\xd8\xff\xe0", "found something else"),
        (zipped("word/document.xml"), "is not a usable checkpoint: expected one record data.pkl, found 0"),
        (zipped("a/data.pkl", "b/data.pkl"), "expected one record data.pkl, found 2"),
        (zipped("net/data.pkl", "net/constants.pkl"), "it is a TorchScript program"),
        (zipped("net/data.pkl", "net/byteorder"), "its numbers are big-endian"),
        (zipped("net/data.pkl"), "it holds neither a model nor its tensors under"),
    ],
)
def test_a_file_that_is_no_checkpoint(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_model(file)


@given(kept=st.floats(0, 1, exclude_max=True))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_checkpoint_is_one_sentence(data: Path, tmp_path: Path, kept: float) -> None:
    content = (data / "weights" / "yolov8n.pt").read_bytes()
    file = tmp_path / "cut.pt"
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InputError, match=r"cut\.pt: expected a checkpoint written by torch\.save, found "):
        load_model(file)


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_to_an_archive_ends_in_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(zipped("net/data.pkl", "net/data/0", "net/version"))
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[position] = data.draw(st.integers(0, 255))
    file = tmp_path / "bent.pt"
    file.write_bytes(content)
    with pytest.raises(InputError):
        load_model(file)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("yolov8n", "no weights found: expected a file yolov8n.pt or yolov8n.safetensors"),
        ("gone.pt", "no weights found: expected a file gone.pt"),
        (
            "model.onnx",
            "model.onnx: expected weights in a .pt or .safetensors file, found an ONNX model: give the .pt or",
        ),
        ("", "expected weights in a .pt or .safetensors file, found a folder"),
    ],
)
def test_a_path_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        load_model(name)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.pt"
    file.touch()

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(zipfile, "ZipFile", refuse)
    with pytest.raises(InputError, match=r"model\.pt cannot be read: Permission denied"):
        load_model(file)


def test_safetensors_come_back_equal_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: ModelSpec, rule_network: RuleNetwork
) -> None:
    model = LoadedModel(rule_network(tiny.renamed(("Katze 🐈", "Hund"))))
    save_safetensors(model, tmp_path / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    for name in ("model.safetensors", "model"):
        again = load_model(name)
        assert same_state(again.module, model.module)
        assert (again.spec, again.class_names, again.stride) == (model.spec, ("Katze 🐈", "Hund"), 32)


def test_safetensors_without_a_description_go_by_their_name(tmp_path: Path, data: Path) -> None:
    model = load_model(data / "weights" / "yolov8n.pt")
    save_file(model.module.state_dict(), tmp_path / "yolov8n.safetensors")
    assert same_state(load_model(tmp_path / "yolov8n.safetensors").module, model.module)
    save_file(model.module.state_dict(), tmp_path / "mine.safetensors")
    with pytest.raises(
        InputError, match=r"mine\.safetensors states no architecture, only tensors such as 'model\.0\.bn\.bias': if"
    ):
        load_model(tmp_path / "mine.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "{", "the stored model description is damaged at the top"),
        (lambda text: text.replace('"Conv"', '"system"'), "tiny, row 0: unknown module 'system'"),
        (lambda text: text.replace('"repeats": 1', '"repeats": 1000000', 1), "row 0: expected 1 to 2000 repeats"),
        (
            lambda text: text.replace("[3, 8, 3, 2]", '[3, 8, "x", 2]'),
            r"row 0 \(Conv\): expected a whole .*, found 'x'",
        ),
        (lambda text: text.replace("[3, 8, 3, 2]", "[3, 8, 3, 0]"), r"row 0 \(Conv\): expected a whole .*, found 0"),
        (lambda text: text.replace("[3, 8, 3, 2]", "[3, 16, 3, 2]"), r"row 1 \(Conv\): expected \(16, 16, 3, 2\) for "),
        (lambda text: text.replace("[32, 64, 128]", "[]"), r"row 22 \(Detect\): expected .*, found \(2, \(\), \(8, "),
        (lambda text: text.replace("[8, 16, 32]", "[8, 16, 1000000000]"), r"row 22 \(Detect\): expected \(2, "),
        (
            lambda text: text.replace('"sources": [10, 6]', '"sources": [10, 4]'),
            r"row 11 \(Concat\): expected maps of one size, found strides of 8 and 16 px",
        ),
        (
            lambda text: json.dumps(json.loads(text) | {"name": "x" * 10**6}),
            "expected a model name of at most 255 char",
        ),
        (lambda text: text.replace('"sources": [0]', '"sources": [7]', 1), "row 1: expected it to read rows before it"),
        (lambda text: text.replace('"sources": [0]', '"sources": 0', 1), "damaged at layers.1.sources"),
        (lambda text: json.dumps(json.loads(text) | {"layers": []}), "expected a head for the task 'detect'"),
        (lambda text: json.dumps(json.loads(text) | {"class_names": ["a"]}), "expected names for 2 classes, found 1"),
    ],
)
def test_a_damaged_description_is_one_sentence(
    tmp_path: Path, tiny: ModelSpec, change: Callable[[str], str], message: str
) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"x": torch.zeros(1)}, file, {"streamdet": change(tiny.to_json())})
    with pytest.raises(InputError, match=message) as caught:
        load_model(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"text", "a text file"),
        (b"\xff" * 64, "something else"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        ((10**15).to_bytes(8, "little") + b"{}", "something else"),
        ((10**15).to_bytes(8, "little") + b'{"a":{}}', "a damaged one"),
    ],
)
def test_a_file_that_is_no_safetensors(tmp_path: Path, content: bytes, found: str) -> None:
    file = tmp_path / "yolov8n.safetensors"
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"expected a \.safetensors file, found {found}.*: Error while deserializ"):
        load_model(file)


def described(header: dict[str, Any], data: bytes) -> bytes:
    """Return a .safetensors file: the length of the header, the header, the numbers."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"dtype": "F3"}, "F3"),
        ({"data_offsets": [0, 8]}, "offset"),
        ({"data_offsets": [8, 10**15]}, "offset"),
        ({"data_offsets": [8, 0]}, "offset"),
        ({"shape": [2**40, 2**40]}, "overflow"),
    ],
    ids=["unknown dtype", "overlap", "beyond the file", "backwards", "overflow"],
)
def test_tensors_that_are_not_in_the_file(tmp_path: Path, changed: dict[str, Any], found: str) -> None:
    file = tmp_path / "yolov8n.safetensors"
    x = {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]} | changed
    file.write_bytes(described({"y": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "x": x}, bytes(16)))
    with pytest.raises(InputError, match=r"expected a \.safetensors file, found a damaged one: ") as caught:
        load_model(file)
    assert found in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_header_of_many_tensors_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    file = tmp_path / "yolov8n.safetensors"
    file.write_bytes(described({f"k{i}": empty for i in range(300_000)}, b""))
    monkeypatch.setattr("streamdet.models.weights.safe_open", None)
    with pytest.raises(InputError, match=r"expected a header of at most 16,000,000 bytes, found 19,988,8"):
        load_model(file)


def test_complex_weights_are_refused(tmp_path: Path, tiny: ModelSpec) -> None:
    state = Network(tiny).state_dict()
    key = "model.0.bn.num_batches_tracked"
    save_file(state | {key: state[key].to(torch.complex64)}, tmp_path / "a.safetensors", {"streamdet": tiny.to_json()})
    with pytest.raises(InputError, match=rf"expected {key} as torch.int64 \(\), found torch.complex64 \(\)"):
        load_model(tmp_path / "a.safetensors")


def test_what_cannot_be_saved_is_said(tmp_path: Path, tiny: ModelSpec) -> None:
    network = Network(tiny)
    with pytest.raises(OutputError, match="the weights cannot be written"):
        save_safetensors(LoadedModel(network), tmp_path / "no" / "folder.safetensors")
    with pytest.raises(ValueError, match="found a fused one"):
        save_safetensors(LoadedModel(network.fuse()), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_saved_file_holds_plain_tensors_under_the_published_keys(tmp_path: Path, tiny: ModelSpec) -> None:
    network = Network(tiny)
    save_safetensors(LoadedModel(network), tmp_path / "model.safetensors")
    assert load_file(tmp_path / "model.safetensors").keys() == network.state_dict().keys()
