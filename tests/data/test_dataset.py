"""The data file: what it may state, where images and labels are looked for, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from streamdet.data.dataset import read_dataset
from streamdet.errors import InputError
from tests.data.pictures import write_labels, write_set

STATED = "train: images/train\nval: images/val\nnames: [cat, dog]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_set(tmp_path, {"train/b.png": "", "train/a.jpg": "", "train/deep/c.png": "", "val/d.png": ""})
    (tmp_path / "images" / "train" / "notes.txt").write_text("no image")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "data.yaml"
    path.write_text(text)
    return path


def test_images_of_folders_come_by_name(folder: Path) -> None:
    spec = read_dataset(written(folder, STATED))
    assert spec.class_names == ("cat", "dog")
    assert [image.image.relative_to(folder / "images" / "train").as_posix() for image in spec.train] == [
        "a.jpg",
        "b.png",
        "deep/c.png",
    ]
    assert [image.label for image in spec.val] == [folder / "labels" / "val" / "d.txt"]
    assert {image.labelled for image in spec.train} == {(True, True)}


def test_names_may_be_numbered_and_a_path_given(folder: Path) -> None:
    text = "path: images\ntrain: [train, val]\nval:\nnames: {1: dog, 0: cat}\nnc: 2\ndownload: script"
    spec = read_dataset(written(folder, text))
    assert spec.class_names == ("cat", "dog")
    assert (len(spec.train), len(spec.val)) == (4, 0)


def test_a_list_of_images_is_relative_to_itself(folder: Path) -> None:
    (folder / "images" / "list.txt").write_text("val/d.png\n\ntrain/b.png\n")
    spec = read_dataset(written(folder, "train: images/list.txt\nnames: [cat]"))
    assert [image.label.relative_to(folder).as_posix() for image in spec.train] == [
        "labels/val/d.txt",
        "labels/train/b.txt",
    ]


def test_an_entry_may_be_labelled_for_some_classes(folder: Path) -> None:
    spec = read_dataset(written(folder, STATED + "labelled: {images/train: [dog]}"))
    assert {image.labelled for image in spec.train} == {(False, True)}
    assert {image.labelled for image in spec.val} == {(True, True)}


@pytest.mark.parametrize("path", ["path:", "path: .", "path: ./", "path: ~nobody-of-this-name/.."])
def test_an_empty_path_is_the_folder_of_the_file(folder: Path, path: str) -> None:
    (folder / "~nobody-of-this-name").mkdir()
    spec = read_dataset(written(folder, f"{path}\n{STATED}"))
    assert (len(spec.train), len(spec.val)) == (3, 1)


def test_names_may_be_numbered_in_text(folder: Path) -> None:
    spec = read_dataset(written(folder, "train: images/train\nnames: {'1': dog, '0': cat}"))
    assert spec.class_names == ("cat", "dog")


def test_names_are_taken_as_they_are_written(data: Path, folder: Path) -> None:
    assert read_dataset(data / "cases" / "data" / "yaml_numnames" / "data.yaml").class_names == ("0", "1")
    for names in ("[yes, no, 1e3, 0x10, ~]", "{0: yes, 1: no, 2: 1e3, 3: 0x10, 4: ~}"):
        spec = read_dataset(written(folder, f"train: images/train\nnames: {names}"))
        assert spec.class_names == ("yes", "no", "1e3", "0x10", "~")


def test_key_points_follow_the_box(folder: Path) -> None:
    write_labels(folder / "labels" / "train" / "a.txt", "0 0.5 0.5 0.2 0.4 0.1 0.9 2 0.3 0.8 0")
    spec = read_dataset(written(folder, STATED + "kpt_shape: [2, 3]"))
    objects, faults = spec.train[0].read_labels()
    assert faults == []
    np.testing.assert_allclose(objects.boxes, [[0.4, 0.3, 0.6, 0.7]], atol=1e-6)


@pytest.mark.parametrize("name", ["pose2", "bom", "roboflow", "list_latin"])
def test_sets_that_other_software_writes_are_read(data: Path, name: str) -> None:
    spec = read_dataset(data / "cases" / "data" / name / "data.yaml")
    found = [[image.read_labels() for image in split] for split in (spec.train, spec.val)]
    assert all(not faults for split in found for _, faults in split)
    objects = [[len(objects.boxes) for objects, _ in split] for split in found]
    # In the list, the image whose name is not ASCII has no labels.
    expected = {"pose2": [[1] * 4, [1] * 2], "list_latin": [[0, 2], [2, 2]]}
    assert objects == expected.get(name, [[2] * 4, [2] * 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images/train\nnames: {0: cat, 2: dog}", "numbered from 0, found \\[0, 2\\]"),
        ("train: images/train\nnames: [cat]\nnc: 2", "expected names for 2 classes, found 1"),
        ("train: images/train\nnames: []", "found 0"),
        ("train: images/train\nnc: 2", "expected names for 2 classes, found 0"),
        (STATED + "kpt_shape: 17", "kpt_shape: "),
        (STATED + "kpt_shape: [17, 4]", "kpt_shape.1: Input should be less than or equal to 3"),
        ("train: images/train\nnames: [cat, dog, cat]", "every class name once, found 'cat' again"),
        ("names: [cat]", "train: Field required"),
        ("[1, 2", "cannot be read"),
        ("just words", "the top"),
        ("train: images/trian\nnames: [cat]", "images/trian: expected a folder of images"),
        ("train: images/empty\nnames: [cat]", "expected images to train with, found none"),
        (STATED + "labelled: {images/trian: [cat]}", "no entry of it; did you mean 'images/train'"),
        (STATED + "labelled: {images/train: [cats]}", "the class 'cats'; did you mean 'cat'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(folder: Path, text: str, message: str) -> None:
    (folder / "images" / "empty").mkdir()
    with pytest.raises(InputError, match=message) as refused:
        read_dataset(written(folder, text))
    assert "\n" not in str(refused.value)


def test_names_are_the_text_that_is_written_and_an_empty_path_is_the_folder_of_the_file(folder: Path) -> None:
    data = read_dataset(written(folder, "path:\ntrain: images/train\nnames: [no, 1]\nlabelled: {images/train: [no]}"))
    assert data.class_names == ("no", "1")
    assert {image.labelled for image in data.train} == {(True, False)}
    with pytest.raises(InputError, match="cannot be read: File name too long"):
        read_dataset(written(folder, f"train: {'a' * 300}\nnames: [cat]"))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.yaml.*No such file"):
        read_dataset(tmp_path / "data.yaml")
