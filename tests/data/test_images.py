"""What an image file holds, and every way in which it can be broken."""

import os
from pathlib import Path

import numpy as np
import pytest

from streamdet.data import images as module
from streamdet.data.images import ImageFacts, examine, examine_all, read_image
from tests.data.pictures import noise, write_image

FORMATS = (".jpg", ".png", ".bmp", ".webp")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_whole_image_has_a_size_and_no_problem(tmp_path: Path, suffix: str) -> None:
    facts = examine(write_image(tmp_path / f"a{suffix}", noise(0, 30, 50)))
    assert (facts.height_px, facts.width_px, facts.problem) == (30, 50, None)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
def test_an_image_that_was_cut_off_is_broken(tmp_path: Path, suffix: str, share: float) -> None:
    path = write_image(tmp_path / f"a{suffix}", noise(0))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert examine(path).problem in ("ends early", "cannot be decoded")


def test_the_end_of_a_thumbnail_is_not_the_end_of_a_jpeg(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", noise(0))
    content = path.read_bytes()
    segment = b"\xff\xe1" + (2 + 4).to_bytes(2, "big") + b"\x00\x00\xff\xd9"
    path.write_bytes(content[:2] + segment + content[2:])
    assert examine(path).problem is None
    path.write_bytes(content[:2] + segment + content[2 : len(content) // 2])
    assert examine(path).problem == "ends early"


def test_what_follows_the_end_does_no_harm(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", noise(0))
    path.write_bytes(path.read_bytes() + b"appended by a camera")
    assert examine(path).problem is None


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8", b"\x89PNG"])
def test_what_is_no_image_is_broken(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert examine(path).problem
    assert read_image(path) is None


@pytest.mark.parametrize("name", ["folder.jpg", "nul\0.jpg", f"{'x' * 300}.jpg"])
def test_what_is_no_file_is_a_problem(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.jpg").mkdir()
    assert examine(tmp_path / name).problem
    assert read_image(tmp_path / name) is None


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert examine(tmp_path / "a.jpg").problem == "is no file of at most 800 MB"


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    assert examine(tmp_path / "a.jpg").problem == "cannot be read: No such file or directory"
    assert read_image(tmp_path / "a.jpg") is None


def test_only_equal_pixels_share_a_digest(tmp_path: Path) -> None:
    image = noise(0)
    changed = image.copy()
    changed[0, 0, 0] ^= 1
    digests = [
        examine(write_image(tmp_path / name, pixels)).digest
        for name, pixels in [
            ("a.png", image),
            ("b.bmp", image),
            ("c.png", changed),
            ("d.png", image.reshape(64, 48, 3)),
        ]
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_an_image_is_read_as_rgb(tmp_path: Path) -> None:
    image = noise(0)
    np.testing.assert_array_equal(read_image(write_image(tmp_path / "a.png", image)), image)


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the images that were really examined; the cache is empty at first."""
    names: list[str] = []

    def spy(path: Path) -> ImageFacts:
        names.append(path.name)
        return examine(path)

    monkeypatch.setattr(module, "examine", spy)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return names


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return [write_image(tmp_path / f"{name}.png", noise(seed)) for seed, name in enumerate("abc")]


def test_a_second_look_examines_nothing(examined: list[str], images: list[Path], tmp_path: Path) -> None:
    first = examine_all(images, tmp_path / "data.yaml")
    assert sorted(examined) == ["a.png", "b.png", "c.png"]
    examined.clear()
    assert examine_all(images, tmp_path / "data.yaml") == first
    assert examined == []


def test_an_image_that_changed_is_examined_again(examined: list[str], images: list[Path], tmp_path: Path) -> None:
    before = examine_all(images, tmp_path / "data.yaml")
    status = images[1].stat()
    write_image(images[1], noise(9))
    os.utime(images[1], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    examined.clear()
    after = examine_all(images, tmp_path / "data.yaml")
    assert examined == ["b.png"]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]


def test_an_image_that_is_repaired_is_no_longer_broken(examined: list[str], images: list[Path], tmp_path: Path) -> None:
    whole = images[0].read_bytes()
    images[0].write_bytes(whole[:100])
    assert examine_all(images, tmp_path / "data.yaml")[0].problem
    images[0].write_bytes(whole)
    assert examine_all(images, tmp_path / "data.yaml")[0].problem is None


def test_what_another_split_showed_stays_known(examined: list[str], images: list[Path], tmp_path: Path) -> None:
    examine_all(images, tmp_path / "data.yaml")
    examine_all(images[:1], tmp_path / "data.yaml")
    write_image(tmp_path / "d.png", noise(4))
    examined.clear()
    examine_all([*images, tmp_path / "d.png"], tmp_path / "data.yaml")
    assert examined == ["d.png"]


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"a": 1}', b"\xff"])
def test_a_damaged_memory_is_forgotten(examined: list[str], images: list[Path], tmp_path: Path, content: bytes) -> None:
    first = examine_all(images, tmp_path / "data.yaml")
    (entry,) = (tmp_path / "cache").rglob("*.json")
    entry.write_bytes(content)
    assert examine_all(images, tmp_path / "data.yaml") == first
    assert len(examined) == 6


def test_a_cache_that_cannot_be_written_is_done_without(
    examined: list[str], images: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    assert [facts.problem for facts in examine_all(images, tmp_path / "data.yaml")] == [None] * 3


def test_every_image_is_counted(images: list[Path], tmp_path: Path) -> None:
    counted: list[int] = []
    examine_all(images, tmp_path / "data.yaml", lambda: counted.append(1))
    assert len(counted) == 3
