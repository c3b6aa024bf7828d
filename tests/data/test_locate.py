"""Where images and labels are looked for: folders, links, lists, patterns, and what is nowhere."""

import os
from pathlib import Path

import pytest

from streamdet.data.locate import find_label, images_at, label_path
from streamdet.errors import InputError
from tests.data.pictures import write_labels, write_set


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_set(tmp_path / "set", {"train/b.png": "", "train/a.jpg": "", "train/deep/c.png": "", "val/d.png": ""})
    write_set(tmp_path / "elsewhere", {"e.png": "", "f.png": ""})
    return tmp_path / "set"


def found(folder: Path, entry: str) -> list[str]:
    return [Path(os.path.normpath(image)).relative_to(folder).as_posix() for image in images_at(folder, entry)]


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


def test_the_label_of_a_linked_image_is_beside_the_linked_folder(folder: Path) -> None:
    linked = folder / "images" / "train" / "cam2"
    linked.symlink_to(folder.parent / "elsewhere" / "images")
    assert find_label(linked / "e.png") == folder.parent / "elsewhere" / "labels" / "e.txt"
    own = write_labels(folder / "labels" / "train" / "cam2" / "e.txt", "")
    assert find_label(linked / "e.png") == own


def test_a_label_may_be_beside_its_image(folder: Path) -> None:
    image = folder / "images" / "val" / "g.png"
    assert find_label(image) == folder / "labels" / "val" / "g.txt"
    beside = write_labels(image.with_suffix(".txt"), "")
    assert find_label(image) == beside


def test_images_of_linked_folders_count(folder: Path) -> None:
    (folder / "images" / "train" / "cam2").symlink_to(folder.parent / "elsewhere" / "images")
    assert found(folder, "images/train") == ["images/train/a.jpg", "images/train/b.png"] + [
        f"images/train/{name}" for name in ("cam2/e.png", "cam2/f.png", "deep/c.png")
    ]
    assert len(images_at(folder, "images/train/cam2")) == 2


def test_links_that_form_a_loop_end_and_count_once(folder: Path) -> None:
    train = folder / "images" / "train"
    (train / "all").symlink_to(train)
    (train / "above").symlink_to(folder / "images")
    (train / "again").symlink_to(train / "deep")
    (train / "gone").symlink_to(train / "nothing")
    assert found(folder, "images/train") == [
        f"images/train/{name}" for name in ("a.jpg", "above/val/d.png", "b.png", "deep/c.png")
    ]


def test_what_macos_writes_beside_images_is_none(folder: Path) -> None:
    (folder / "images" / "val" / "._d.png").write_bytes(b"resource fork")
    assert found(folder, "images/val") == ["images/val/d.png"]


def test_an_entry_may_be_an_image(folder: Path) -> None:
    assert found(folder, "images/train/a.jpg") == ["images/train/a.jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("images/*", ["train/a.jpg", "train/b.png", "train/deep/c.png", "val/d.png"]),
        ("images/train/*.png", ["train/b.png"]),
        ("images/**/*.png", ["train/b.png", "train/deep/c.png", "val/d.png"]),
        ("images/**", ["train/a.jpg", "train/b.png", "train/deep/c.png", "val/d.png"]),
    ],
)
def test_an_entry_may_be_a_pattern(folder: Path, pattern: str, expected: list[str]) -> None:
    expected = [f"images/{name}" for name in expected]
    assert sorted(found(folder, pattern)) == expected
    assert sorted(found(folder, str(folder / pattern))) == expected


def test_a_folder_with_the_name_of_a_pattern_is_no_pattern(folder: Path) -> None:
    (folder / "images" / "val").rename(folder / "images" / "[tv]*")
    assert found(folder, "images/[tv]*") == ["images/[tv]*/d.png"]


def test_one_level_too_high_is_beside_the_data_file(folder: Path) -> None:
    assert found(folder, "../images/val") == ["images/val/d.png"]
    assert [image.name for image in images_at(folder, "../elsewhere/images")] == ["e.png", "f.png"]


@pytest.mark.parametrize("content", ["val/ü.png\r\ntrain/b.png", "images/val/ü.png\n\n images/train/b.png "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_list_may_be_relative_to_itself_or_to_the_data_in_any_encoding(
    folder: Path, content: str, encoding: str
) -> None:
    (folder / "images" / "val" / "d.png").rename(folder / "images" / "val" / "ü.png")
    (folder / "images" / "list.txt").write_bytes(content.encode(encoding))
    assert found(folder, "images/list.txt") == ["images/val/ü.png", "images/train/b.png"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("images/trian", "images/trian: expected a folder of images or a text file that lists them"),
        ("[tr]/*", "found nothing there"),
        ("x" * 300, "cannot be read: File name too long"),
        ("video.mp4", "video.mp4: expected a folder of images or a text file that lists them, found another file"),
        ("huge.txt", "huge.txt: expected a list of images of at most 128 MB, found a larger file"),
    ],
)
def test_where_no_images_can_be_is_one_sentence(folder: Path, entry: str, message: str) -> None:
    (folder / "video.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    with (folder / "huge.txt").open("wb") as file:
        file.truncate((128 << 20) + 1)
    with pytest.raises(InputError) as refused:
        images_at(folder, entry)
    assert message in str(refused.value)


def test_a_name_that_no_file_can_have_has_no_label(folder: Path) -> None:
    image = folder / "images" / f"{'x' * 300}.jpg"
    assert find_label(image) == label_path(image)
