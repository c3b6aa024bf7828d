"""Files of other programs: tensors alone load with a named architecture, all else is called what it is."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import nn

from streamdet.errors import InputError
from streamdet.models.blocks import Conv
from streamdet.models.table import ModelSpec, load_spec
from streamdet.models.weights import LoadedModel, Network, load_model, save_safetensors

Wrap = Callable[[dict[str, Any]], Any]


@pytest.fixture
def arch(tmp_path: Path, tiny_table: dict[str, Any]) -> str:
    """The file of a table whose two classes have names."""
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_table | {"names": ["cat", "dog"]}, sort_keys=False))
    return str(tmp_path / "tiny.yaml")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"model": state, "epoch": 3},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {"model_state_dict": {f"_orig_mod.{key}": value for key, value in state.items()}},
        lambda state: {"ema": None, "model": {"a": 1}, "net": state},
    ],
)
def test_tensors_alone_load_with_a_named_architecture(tmp_path: Path, arch: str, tiny: ModelSpec, wrap: Wrap) -> None:
    state = Network(tiny).state_dict()
    torch.save(wrap(state), tmp_path / "weights.pt")
    model = load_model(tmp_path / "weights.pt", arch)
    assert model.class_names == ("cat", "dog")
    assert all(torch.equal(value, state[key]) for key, value in model.module.state_dict().items())
    with pytest.raises(InputError, match=r"weights\.pt states no architecture, only tensors .* --arch yolov8n$"):
        load_model(tmp_path / "weights.pt")


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n"])
def test_classes_are_counted_in_the_tensors(tmp_path: Path, name: str) -> None:
    network = Network(load_spec(name).with_classes(("a", "b", "c")))
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    assert load_model(tmp_path / "weights.safetensors", name).class_names == ("0", "1", "2")


def test_an_architecture_that_does_not_fit(tmp_path: Path, arch: str, tiny: ModelSpec) -> None:
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "resnet.pt")
    with pytest.raises(InputError, match=r"resnet\.pt: expected \d+ tensors, but 'model.0.bn.bias' is missing"):
        load_model(tmp_path / "resnet.pt", arch)
    with pytest.raises(InputError, match="yolov8q: unknown scale 'q'; known: l, m, n, s, x"):
        load_model(tmp_path / "resnet.pt", "yolov8q")
    save_safetensors(LoadedModel(Network(tiny)), tmp_path / "ours.safetensors")
    with pytest.raises(InputError, match=r"ours\.safetensors states its architecture: expected it without arch, got "):
        load_model(tmp_path / "ours.safetensors", arch)


def test_fused_weights_are_called_fused(tmp_path: Path, arch: str, tiny: ModelSpec) -> None:
    torch.save(Network(tiny).fuse().state_dict(), tmp_path / "fused.pt")
    with pytest.raises(InputError, match=r"fused\.pt: expected weights with batch norms, found them fused into"):
        load_model(tmp_path / "fused.pt", arch)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, arch: str, tiny: ModelSpec, value: float) -> None:
    state = Network(tiny).state_dict()
    state["model.3.bn.weight"][1] = value
    torch.save(state, tmp_path / "nan.pt")
    with pytest.raises(
        InputError, match=r"nan\.pt: expected finite weights, found NaN or infinity in model\.3\.bn\.wei"
    ):
        load_model(tmp_path / "nan.pt", arch)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda conv: setattr(conv, "act", nn.ReLU()), "expected one activation behind all convolutions, found ReLU "),
        (lambda conv: setattr(conv, "act", nn.PReLU()), "expected one of the activations GELU, .*, found 'PReLU'"),
        (lambda conv: setattr(conv.bn, "eps", 1e-5), "its batch norms have the eps 1e-05, and only 0.001 is computed"),
    ],
)
def test_operations_that_have_no_tensors_are_noticed(
    tmp_path: Path, arch: str, tiny: ModelSpec, change: Callable[[Conv], None], message: str
) -> None:
    network = Network(tiny)
    change(network.model[0])  # type: ignore[arg-type]
    torch.save({"model": network.model}, tmp_path / "other.pt")
    with pytest.raises(InputError, match=rf"other\.pt is not a usable checkpoint: {message}"):
        load_model(tmp_path / "other.pt", arch)


def zipped(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("saved_model/readme.txt", b"no pickle")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "found a pointer of Git LFS, in whose place"),
        (b"\n<!DOCTYPE html><html>", "found an HTML page, not the file that it links to"),
        (b"\x08\x08\x12\x07pytorch", "found an ONNX model or another one in the format protobuf"),
        (b"\x20\x00\x00\x00TFL3", "found a TensorFlow Lite model"),
        (b'\x60\x00\x00\x00{"stride": 32}ftrt', "found a TensorRT engine"),
        (b'\x40\x00\x00\x00\x00\x00\x00\x00{"a":', "found a .safetensors file"),
        (b"\x1f\x8b\x08", "found a compressed file, which must be unpacked"),
    ],
)
def test_another_file_named_pt_is_called_what_it_is(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(InputError) as refused:
        load_model(tmp_path / "model.pt")
    assert str(refused.value).startswith(f"{tmp_path}/model.pt: expected a checkpoint written by torch.save, {found}")


def test_an_archive_without_a_pickle_named_pt(tmp_path: Path) -> None:
    zipped(tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"is not a usable checkpoint: expected one record data\.pkl, found 0"):
        load_model(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("best.engine", "found a TensorRT engine: give the .pt or .safetensors file that it was made of"),
        ("best.TFLITE", "found a TensorFlow Lite model: give the .pt"),
        ("best.mlmodel", "found a Core ML model: give the .pt"),
        ("best.bin", "found '.bin'"),
    ],
)
def test_a_model_for_another_runtime_is_called_what_it_is(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=f"{name}: expected weights in a .pt or .safetensors file, {found}"):
        load_model(tmp_path / name)


def test_endings_in_any_case_and_the_home_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arch: str, tiny: ModelSpec
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(Network(tiny).state_dict(), tmp_path / "BEST.PT")
    assert load_model("~/BEST.PT", "~/tiny.yaml").class_names == ("cat", "dog")


@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + ".pt", "a\0.pt"])
def test_a_name_that_no_file_can_have(name: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read: (File name too long|embedded null byte)"):
        load_model(name)
