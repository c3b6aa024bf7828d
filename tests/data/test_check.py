"""The check of a data set with one thing of every kind wrong: what is counted, named and left out."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from streamdet.cli.evaluate import checked_data, print_data_report
from streamdet.data.check import DataReport, check
from streamdet.data.dataset import read_dataset
from tests.data.pictures import write_set

GOOD = "0 0.5 0.5 0.5 0.5\n1 0.25 0.25 0.25 0.25\n"
LABELS: dict[str, str | None] = {
    "train/good.png": GOOD,
    "train/broken.jpg": GOOD,
    "train/empty.png": "",
    "train/missing.png": None,
    "train/unreadable.png": "",
    "train/faulty.png": "7 0.5 0.5 0.5 0.5\n0 0.9 0.5 0.5 0.5\n0 0.5\n1 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5\n",
    "train/tiny.png": "0 0.5 0.5 0.02 0.5\n",
    "val/good.png": "0 0.5 0.5 0.5 0.5\n",
    "partly/good.png": "0 0.5 0.5 0.5 0.5\n",
}


@pytest.fixture
def report(tmp_path: Path) -> DataReport:
    write_set(tmp_path, LABELS)
    images, labels = tmp_path / "images", tmp_path / "labels"
    broken = images / "train" / "broken.jpg"
    broken.write_bytes(broken.read_bytes()[:700])
    (labels / "train" / "unreadable.txt").write_bytes(b"\xfc")
    for copy in ("train/twice.png", "val/leaked.png"):
        shutil.copy(images / "train" / "good.png", images / copy)
        shutil.copy(labels / "train" / "good.txt", (labels / copy).with_suffix(".txt"))
    (tmp_path / "data.yaml").write_text(
        "train: [images/train, images/partly]\nval: images/val\nnames: [cat, dog, bird]\n"
        "labelled: {images/partly: [dog]}\n"
    )
    return check(read_dataset(tmp_path / "data.yaml"))


def test_everything_that_is_wrong_is_found(report: DataReport) -> None:
    assert Counter(finding.kind for finding in report.findings("train")) == {
        "broken image": 1,
        "no objects": 1,
        "no label file": 1,
        "unreadable": 1,
        "unknown class": 1,
        "out of range": 1,
        "not a box": 1,
        "duplicate": 1,
        "tiny box": 1,
        "same image twice": 1,
        "class not stated": 1,
    }
    assert [finding.kind for finding in report.findings("val")] == ["also in train"]


def test_a_finding_says_where(report: DataReport) -> None:
    by_kind = {finding.kind: finding for split in ("train", "val") for finding in report.findings(split)}
    folder = report.dataset.path.parent
    assert by_kind["broken image"][1:] == (folder / "images" / "train" / "broken.jpg", "ends early")
    assert by_kind["not a box"][1:] == (folder / "labels" / "train" / "faulty.txt", "line 3: 0 0.5")
    assert by_kind["tiny box"].detail == "1.3 x 24.0 px"
    assert by_kind["also in train"].path == folder / "images" / "val" / "leaked.png"
    assert by_kind["same image twice"].detail == f"as {folder / 'images' / 'train' / 'good.png'}"


def test_what_is_broken_is_left_out(report: DataReport) -> None:
    names = [image.image.name for image in report.usable("train")]
    assert names == ["empty.png", "faulty.png", "good.png", "missing.png", "tiny.png", "twice.png", "good.png"]
    assert len(report.usable("val")) == 2


def test_objects_and_sizes_are_counted(report: DataReport) -> None:
    assert report.objects_by_class("train").tolist() == [5, 3, 0]
    assert report.objects_by_class("val").tolist() == [2, 1, 0]
    assert report.image_sides_px("val").tolist() == [64, 64]
    # Halves and quarters of 64 x 48 px.
    assert sorted(report.object_sides_px("val").tolist()) == pytest.approx([768**0.5 / 2, 768**0.5, 768**0.5])


def test_the_table_names_all_of_it(report: DataReport, capsys: pytest.CaptureFixture[str]) -> None:
    print_data_report(report)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "images 9 2" in lines
    assert "usable 7 2" in lines
    assert "cat 5 2" in lines
    assert "bird 0 0" in lines
    assert any(line.startswith("same image twice 1 0") for line in lines)
    assert [line for line in lines if line.startswith("left out")] == [
        f"left out: {report.dataset.path.parent}/images/train/broken.jpg: ends early",
        f"left out: {report.dataset.path.parent}/labels/train/unreadable.txt: expected text in UTF-8",
    ]


def test_a_set_without_faults_or_validation_has_a_short_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_set(tmp_path, {"train/good.png": GOOD})
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [cat, dog]")
    report = checked_data(read_dataset(tmp_path / "data.yaml"))
    assert (list(report.findings("train")), list(report.findings("val"))) == ([], [])
    print_data_report(report)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["train", "images", "usable", "longer", "objects", "root", "cat", "dog"]
    assert lines[3][-1] == "-"
