"""A folder with the files that examples name."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest
import torch
import yaml

from streamdet.files import EMBEDDED_MODEL, resource
from streamdet.models.registry import BLOCKS
from streamdet.models.weights import load_model
from streamdet.sinks.formats import TRACK_SINKS
from streamdet.video.location import RENDERERS
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source
from trackers.config import TRACKERS

CLIPS = ("street.mp4", "video.mp4", "b.mp4", "demo/street/street.mp4")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a dozen frames of a rendered street under the names of clips, weights, and images to train on."""
    folder = tmp_path_factory.mktemp("files")
    with (
        open_source("scene://street?seed=7&seconds=1&fps=6&size=320x192") as source,
        VideoSink(folder / CLIPS[0], info=source.info) as sink,
    ):
        for frame in source:
            sink.write(frame.image, frame.pts, frame.time_base)
    (folder / "demo" / "street").mkdir(parents=True)
    for name in CLIPS[1:]:
        shutil.copy(folder / CLIPS[0], folder / name)
    save_checkpoint(folder / "yolov8n.pt")
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
        cv2.imwrite(str(folder / "images" / split / "a.png"), np.zeros((32, 32, 3), np.uint8))
    return folder


@pytest.fixture
def workplace(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of `files` as the current folder; what examples register is forgotten after the test."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    with patch.dict(TRACKERS), patch.dict(BLOCKS), patch.dict(TRACK_SINKS), patch.dict(RENDERERS):
        yield tmp_path


def save_checkpoint(path: Path) -> None:
    """Write the embedded model as a ``.pt`` file, as published weights come."""
    model = load_model(EMBEDDED_MODEL)
    module = torch.nn.Module()
    module.add_module("model", model.module.model)
    table = yaml.safe_load(resource("configs/models/embedded.yaml").read_text())
    module.__dict__.update(yaml=table, names=list(model.class_names))
    torch.save({"model": module}, path)
