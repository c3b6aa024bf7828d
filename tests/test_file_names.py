"""Names that no file can have, or that a terminal would obey, as models, trackers, appearance models and exports."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamdet.cli import console
from streamdet.errors import InputError
from streamdet.export import ExportJob, export
from streamdet.inference.load import load_embedder, load_session
from streamdet.models.summary import describe
from streamdet.tracking.config import read_tracker


def exported(model: str) -> None:
    export(ExportJob(model=Path(model), file_format="onnx"))


READERS: list[Callable[[Any], Any]] = [
    lambda name: load_session(Path(name)),
    lambda name: load_embedder(Path(name)),
    describe,
    read_tracker,
    exported,
]


@pytest.mark.parametrize("read", READERS, ids=["model", "reid", "info", "tracker", "export"])
@pytest.mark.parametrize(
    "name", [f"{'a' * 300}{suffix}" for suffix in ("", ".pt", ".onnx", ".yaml")] + ["\udcff.pt", "a\x1b[2J\n.onnx", "~"]
)
def test_a_name_that_is_no_file_is_one_printable_sentence(read: Callable[[Any], Any], name: str) -> None:
    with pytest.raises(InputError) as refused:
        read(name)
    assert str(refused.value).isprintable()


def test_a_folder_without_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    for read in READERS[:3]:
        with pytest.raises(InputError, match=r"model\.onnx cannot be read: Permission denied"):
            read(str(tmp_path / "model.onnx"))


def test_endings_in_any_case_and_the_graph_of_another_program(
    tmp_path: Path, write_onnx: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_onnx().rename(tmp_path / "BEST.Onnx")
    assert load_embedder(Path("~/BEST.Onnx")).card.input_hw == (8, 4)
    for backend in ("onnx", "openvino"):
        with pytest.raises(
            InputError, match=r"BEST\.Onnx: expected the detector of streamdet export, or of .* found one with crops0"
        ):
            load_session(Path("~/BEST.Onnx"), backend=backend)


@pytest.mark.parametrize("name", ["yolov8n_openvino_model", "yolov8n_openvino_model/yolov8n.xml"])
def test_the_openvino_folder_of_another_program(tmp_path: Path, write_onnx: Callable[..., Path], name: str) -> None:
    import openvino

    model = openvino.Core().read_model(write_onnx())
    openvino.save_model(model, tmp_path / "yolov8n_openvino_model" / "yolov8n.xml")
    with pytest.raises(
        InputError, match="yolov8n_openvino_model: expected a model that streamdet export wrote, found one"
    ):
        load_session(tmp_path / name)


def test_no_text_controls_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    rows = console.table("class")
    rows.add_row("red\x1b[31m\nnext")
    console.stdout.print(rows)
    console.stdout.print("one\ntwo \x1b[2J\x07")
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["class", r"red\x1b[31m\nnext", "one", r"two \x1b[2J\x07"]
