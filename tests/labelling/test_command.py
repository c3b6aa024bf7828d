"""``streamdet label`` on a real street: what it drafts, what it leaves alone, and what an interrupt leaves."""

import os
import signal
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from streamdet.boxes import box_iou
from streamdet.data.check import DataReport, check
from streamdet.data.dataset import read_dataset
from streamdet.data.folder import LabelFolder
from streamdet.detect.detector import Detector
from streamdet.pipeline.line import TrackStep
from streamdet.result import Result
from tests.exact import EXACT

Streamdet = Callable[..., str]
LENGTH = 30  # frames at 10 Hz


@pytest.fixture(scope="module")
def street(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first three seconds of a street with people."""
    path = tmp_path_factory.mktemp("street") / "my street.avi"
    with av.open(str(data / "videos" / "vtest.avi")) as whole:
        images = [frame.to_ndarray(format="bgr24") for frame in islice(whole.decode(video=0), LENGTH)]
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (width, height))
    for image in images:
        writer.write(image)
    writer.release()
    return path


@pytest.fixture
def label(streamdet: Streamdet, street: Path, weights: Path, tmp_path: Path) -> Streamdet:
    """Label the street into the folder ``set``."""

    def run(*options: object, code: int = 0) -> str:
        common = ["--model", weights, "--imgsz", 416, "--classes", "person", "--out", tmp_path / "set"]
        return streamdet("label", street, *common, *options, code=code)

    return run


def report(folder: Path) -> DataReport:
    return check(read_dataset(folder / "data.yaml"))


def test_people_are_labelled_where_a_detector_sees_them(label: Streamdet, weights: Path, tmp_path: Path) -> None:
    printed = label("--every", 6)
    found = report(tmp_path / "set")
    assert [image.files.image.name for image in found.train] == [f"my_street_{i:06d}.jpg" for i in (0, 6, 12, 18)]
    assert [image.files.image.name for image in found.val] == ["my_street_000024.jpg"]
    assert found.dataset.class_names == ("person",)
    assert [finding for split in (found.train, found.val) for image in split for finding in image.findings()] == []
    detector = Detector(weights, conf=0.6, size=416, classes=["person"], **EXACT)
    for image in (*found.train, *found.val):
        pixels = cv2.imread(str(image.files.image), cv2.IMREAD_COLOR_RGB)
        assert pixels is not None
        seen = detector(np.asarray(pixels, np.uint8)).boxes
        labelled = image.objects.boxes * np.array([768, 576, 768, 576], np.float32)
        overlaps = box_iou(seen, labelled)
        assert len(seen) >= 3
        assert (overlaps.max(1) > 0.6).mean() > 0.7
    assert "wrote 5 to" in printed


def test_corrected_labels_stay(label: Streamdet, tmp_path: Path) -> None:
    label("--every", 10)
    corrected = tmp_path / "set" / "labels" / "train" / "my_street_000010.txt"
    corrected.write_text("0 0.5 0.5 0.1 0.1\n")
    printed = label("--every", 5)
    assert corrected.read_text() == "0 0.5 0.5 0.1 0.1\n"
    assert "wrote 3 to" in printed
    assert "3 label files were there already and stay as they are" in printed


def test_frames_that_differ_are_fewer_than_all(label: Streamdet, tmp_path: Path) -> None:
    label()
    found = report(tmp_path / "set")
    assert 1 <= len(found.train) + len(found.val) <= 7


def test_an_interrupt_while_tracking_keeps_what_was_seen(
    label: Streamdet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update, calls = TrackStep.__call__, iter(range(10_000))

    def interrupted(*arguments: Any) -> Result:
        if next(calls) == 8:
            os.kill(os.getpid(), signal.SIGINT)
        return update(*arguments)

    monkeypatch.setattr(TrackStep, "__call__", interrupted)
    label("--every", 2, code=130)
    found = report(tmp_path / "set")
    assert 4 <= len(found.train) + len(found.val) < LENGTH // 2
    assert found.objects_by_class("train")[0] > 0


def test_an_interrupt_while_writing_leaves_whole_pairs(
    label: Streamdet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = LabelFolder.write

    def interrupted(folder: LabelFolder, *arguments: object) -> None:
        write(folder, *arguments)  # type: ignore[arg-type]
        if folder.written == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(LabelFolder, "write", interrupted)
    label("--every", 5, code=130)
    found = report(tmp_path / "set")
    assert [image.has_labels for image in found.train] == [True, True]
    assert not list((tmp_path / "set").rglob("*.part"))


def test_images_are_not_written_beside_those_that_are_read(streamdet: Streamdet, weights: Path, tmp_path: Path) -> None:
    images = tmp_path / "set" / "images" / "val"
    images.mkdir(parents=True)
    (images / "grey.png").write_bytes(cv2.imencode(".png", np.full((64, 96, 3), 90, np.uint8))[1].tobytes())
    (tmp_path / "photos").symlink_to(images)
    printed = streamdet("label", tmp_path / "photos", "--model", weights, "--out", tmp_path / "set", code=2)
    assert f"a folder of its own for --out, but {images} is read as SOURCE" in printed
    assert [path.name for path in (tmp_path / "set").rglob("*.*")] == ["grey.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--every", "some"], "--every must be auto or a whole number from 1"),
        (["--conf", 1.5], "--conf must be between 0 and 1"),
        (["--classes", "persona"], "the model has no class 'persona'; did you mean 'person'"),
    ],
)
def test_what_cannot_be_used_is_refused(label: Streamdet, tmp_path: Path, options: list[object], message: str) -> None:
    assert message in label(*options, code=2)
    assert not (tmp_path / "set").exists()
