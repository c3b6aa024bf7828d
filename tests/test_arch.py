"""``--arch``: a checkpoint that holds only tensors is read by every command as the model that it is a part of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
import yaml

from streamdet.files import resource
from streamdet.inference.load import load_session
from streamdet.models.weights import load_model
from tests.train.rectangles import write_data_file, write_data_set
from tests.train.small_training import SETTINGS

Streamdet = Callable[..., str]


class Bare(NamedTuple):
    """A checkpoint of tensors, the table of its network, and a file of the same model that says all."""

    weights: Path
    table: Path
    whole: Path


@pytest.fixture
def bare(tiny_weights: Path, tmp_path: Path) -> Bare:
    table = yaml.safe_load(resource("configs/models/yolov8.yaml").read_text())
    table |= {"names": ["cat", "dog"], "nc": 2, "scales": {"n": [0.33, 0.125, 1024]}}
    found = Bare(tmp_path / "bare.pt", tmp_path / "tiny.yaml", tiny_weights)
    found.table.write_text(yaml.safe_dump(table))
    torch.save({"state_dict": load_model(tiny_weights).module.state_dict()}, found.weights)
    return found


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images of noise, each with the label of a cat."""
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "labels").mkdir()
    for name in ("a", "b"):
        cv2.imwrite(str(folder / f"{name}.png"), np.random.default_rng(ord(name)).integers(0, 255, (64, 96, 3)))
        (tmp_path / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [cat, dog]\n")
    return folder


def test_without_it_the_sentence_names_it(streamdet: Streamdet, bare: Bare) -> None:
    assert "name it, for example --arch yolov8n" in streamdet("model", "info", bare.weights, code=2)


def test_model_info(streamdet: Streamdet, bare: Bare) -> None:
    assert streamdet("model", "info", bare.weights, "--arch", bare.table, code=0) == streamdet(
        "model", "info", bare.whole, code=0
    )
    printed = streamdet("model", "info", "yolov8n", "--arch", "yolov8n", code=2)
    assert "expected arch for weights only, found the model table 'yolov8n'" in printed


def test_export(streamdet: Streamdet, bare: Bare, tmp_path: Path) -> None:
    for weights, arch, out in ((bare.weights, ("--arch", bare.table), "a"), (bare.whole, (), "b")):
        streamdet("export", weights, *arch, "--imgsz", 64, "--out", tmp_path / f"{out}.onnx", code=0)
    image = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3)).astype(np.uint8)
    rows = [load_session(tmp_path / f"{out}.onnx", backend="onnx")(image) for out in "ab"]
    np.testing.assert_array_equal(rows[0], rows[1])


def test_eval_det(streamdet: Streamdet, bare: Bare, images: Path) -> None:
    scored = ["eval", "det", images.parent / "data.yaml", "--imgsz", 64, "--model"]
    found = streamdet(*scored, bare.weights, "--arch", bare.table, code=0)
    assert found == streamdet(*scored, bare.whole, code=0)


def test_bench(streamdet: Streamdet, bare: Bare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamdet.cli.bench.possible_backends", lambda *_: ["torch"])
    options = ["--model", bare.weights, "--arch", bare.table, "--imgsz", 64, "--seconds", 0.5]
    printed = streamdet("bench", *options, code=0)
    assert "left out" not in printed
    assert "torch" in printed


def test_label(streamdet: Streamdet, bare: Bare, images: Path, tmp_path: Path) -> None:
    drafted = ["label", images, "--every", 1, "--imgsz", 64, "--conf", 0.3, "--model"]
    streamdet(*drafted, bare.weights, "--arch", bare.table, "--out", tmp_path / "a", code=0)
    streamdet(*drafted, bare.whole, "--out", tmp_path / "b", code=0)
    labels = [{path.name: path.read_text() for path in (tmp_path / out).rglob("*.txt")} for out in "ab"]
    assert labels[0] == labels[1]
    assert any(labels[0].values())


def test_train(streamdet: Streamdet, bare: Bare, tmp_path: Path) -> None:
    data = write_data_file(write_data_set(tmp_path, 4, val=2))
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(SETTINGS.model_dump()))
    given = ["--arch", bare.table, "--config", tmp_path / "settings.yaml", "--epochs", 1, "--out", tmp_path / "out"]
    printed = streamdet("train", data, "--weights", bare.weights, *given, code=0)
    count = len(load_model(bare.whole).module.state_dict())
    assert f"{count} tensors come from {bare.weights}, the rest starts at random" in printed
    assert yaml.safe_load((tmp_path / "out" / "training.yaml").read_text())["arch"] == str(bare.table)
    printed = streamdet("train", data, *given[:2], code=2)
    assert "expected --arch with --weights, found it alone: --model names what to train" in printed
