"""A model that one start compiled is loaded by the next, and by no other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from streamdet.export import ExportJob, export
from streamdet.files import cache_folder
from streamdet.inference.graph import onnx_graph
from streamdet.inference.openvino import OpenVinoSession
from streamdet.inference.session import ModelCard
from streamdet.models.weights import load_model
from streamdet.options import PrecisionChoice
from streamdet.types import Float32Array

IMAGE = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)


@pytest.fixture
def graph(tiny_weights: Path) -> bytes:
    model = load_model(tiny_weights)
    return onnx_graph(model, ModelCard(model.class_names, model.stride))


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of what OpenVINO did since: compiled or loaded."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
        method = getattr(openvino.Core, name)

        def call(*args: Any) -> Any:
            names.append(name)
            return method(*args)

        return call

    for name in ("compile_model", "import_model"):
        monkeypatch.setattr(openvino.Core, name, noted(name))
    return names


def rows(graph: bytes | Path, images: Any = IMAGE, precision: PrecisionChoice = "fp32") -> Float32Array:
    found: Float32Array = OpenVinoSession(graph, "a model", precision)(images)
    return found


def test_the_second_start_loads_what_the_first_compiled(graph: bytes, done: list[str]) -> None:
    first, second = rows(graph), rows(graph)
    assert done == ["compile_model", "import_model"]
    np.testing.assert_array_equal(second, first)


def test_so_does_that_of_an_exported_folder(tiny_weights: Path, tmp_path: Path, done: list[str]) -> None:
    folder, _ = export(ExportJob(tiny_weights, "openvino", (64, 96), out=tmp_path / "exported"))
    done.clear()
    first, second = rows(folder / "model.xml"), rows(folder / "model.xml")
    assert done == ["compile_model", "import_model"]
    np.testing.assert_array_equal(second, first)


def test_another_shape_and_another_graph_are_compiled(graph: bytes, tiny_weights: Path, done: list[str]) -> None:
    model = load_model(tiny_weights)
    rows(graph)
    rows(graph, np.zeros((1, 96, 96, 3), np.uint8))
    rows(onnx_graph(model, ModelCard(("owl", "fox"), model.stride)))
    assert done == ["compile_model"] * 3


def test_only_the_first_shape_is_left_for_the_next_start(graph: bytes, done: list[str]) -> None:
    session = OpenVinoSession(graph, "a model")
    for side in (64, 96, 128):
        session(np.zeros((1, side, side, 3), np.uint8))
    assert len(list(cache_folder("compiled").iterdir())) == 1


def test_what_openvino_does_not_take_is_compiled(
    graph: bytes, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rows(graph)

    def refuse(*args: Any) -> None:
        raise RuntimeError("another version")

    monkeypatch.setattr(openvino.Core, "import_model", refuse)
    np.testing.assert_array_equal(rows(graph), expected)
    assert done == ["compile_model", "compile_model"]
