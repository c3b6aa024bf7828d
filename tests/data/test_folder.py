"""The folder of a data set that is being written: what a training reads of it, and what stays as it is."""

from pathlib import Path

import numpy as np
import pytest

from streamdet.data.check import check
from streamdet.data.dataset import read_dataset
from streamdet.data.folder import LabelFolder, choose_split
from streamdet.data.images import examine
from streamdet.errors import InputError, OutputError

from .pictures import noise

NAMES = ["person", "car"]
LINES = ["1 0.5 0.5 0.5 0.5"]


def test_a_training_reads_what_was_written(tmp_path: Path) -> None:
    folder = LabelFolder(tmp_path / "set", NAMES)
    folder.write("a_000001", "train", noise(0), LINES)
    folder.write("a_000009", "val", noise(1), [])
    report = check(read_dataset(folder.data_file))
    assert report.dataset.class_names == ("person", "car")
    (image,) = report.train
    assert image.objects.class_ids.tolist() == [1]
    np.testing.assert_allclose(image.objects.boxes, [[0.25, 0.25, 0.75, 0.75]], atol=1e-6)
    assert [finding.kind for finding in report.findings("val")] == ["no objects"]
    assert folder.written == 2


def test_a_label_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    LabelFolder(tmp_path, NAMES).write("a", "val", noise(0), LINES)
    label, image = tmp_path / "labels" / "val" / "a.txt", tmp_path / "images" / "val" / "a.jpg"
    label.write_text("corrected by hand")
    before = image.read_bytes()
    again = LabelFolder(tmp_path, NAMES)
    again.write("a", "train", noise(1), LINES)  # another choice of frames may move a frame to the other split
    assert label.read_text() == "corrected by hand"
    assert image.read_bytes() == before
    assert (again.written, again.left) == (0, 1)
    assert list((tmp_path / "labels" / "train").iterdir()) == []


def test_a_run_that_was_killed_is_completed(tmp_path: Path) -> None:
    folder = LabelFolder(tmp_path, NAMES)
    folder.write("a", "train", noise(0), LINES)
    (tmp_path / "images" / "train" / "a.jpg").unlink()
    folder.write("a", "train", noise(0), LINES)
    assert examine(tmp_path / "images" / "train" / "a.jpg").problem is None


def test_a_data_file_that_a_person_changed_stays(tmp_path: Path) -> None:
    text = "# mine\ntrain: images/train\nnames: [person, car]\n"
    (tmp_path / "data.yaml").write_text(text)
    LabelFolder(tmp_path, NAMES)
    assert (tmp_path / "data.yaml").read_text() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [car, person]", r"expected the classes \['person', 'car'\], found \['car', 'person'\]"),
        ("train: images", r"expected the classes \['person', 'car'\], found None"),
        ("[1, 2", "expected a data file with names"),
    ],
)
def test_a_folder_of_other_classes_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        LabelFolder(tmp_path, NAMES)


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder to write to"):
        LabelFolder(tmp_path / "file" / "set", NAMES)


def test_a_file_that_cannot_be_written_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = LabelFolder(tmp_path, NAMES)
    whole = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        whole(path, content[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"a\.txt failed: No space left on device"):
        folder.write("a", "train", noise(0), LINES)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["data.yaml"]


def test_the_last_fifth_validates() -> None:
    assert [choose_split(place, 10) for place in range(10)] == ["train"] * 8 + ["val"] * 2
    assert [choose_split(place, 4) for place in range(4)] == ["train"] * 4
