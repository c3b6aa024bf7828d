"""The data file: what it may state, where images and labels are looked for, and what is refused."""

from pathlib import Path

import pytest

from streamdet.data.dataset import label_path, read_dataset
from streamdet.errors import InputError
from tests.data.pictures import write_set

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


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("a/images/b/c.jpg", "a/labels/b/c.txt"),
        ("images/images/c.jpg", "images/labels/c.txt"),
        ("a/c.tar.png", "a/c.tar.txt"),
        ("a/images", "a/images.txt"),
    ],
)
def test_labels_lie_beside_images(image: str, label: str) -> None:
    assert label_path(Path(image)) == Path(label)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images/train\nnames: {0: cat, 2: dog}", "numbered from 0, found \\[0, 2\\]"),
        ("train: images/train\nnames: [cat]\nnc: 2", "expected names for 2 classes, found 1"),
        ("train: images/train\nnames: []", "found 0"),
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


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.yaml.*No such file"):
        read_dataset(tmp_path / "data.yaml")
