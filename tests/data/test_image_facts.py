"""What was found in an image is remembered until its file changes, and no longer."""

import os
from pathlib import Path

import pytest

from streamdet.data import image_facts
from streamdet.data.image_facts import examine_all
from streamdet.data.images import ImageFacts, examine
from tests.data.pictures import noise, write_image


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of the images that were really examined; the cache is empty at first."""
    names: list[str] = []

    def spy(path: Path) -> ImageFacts:
        names.append(path.name)
        return examine(path)

    monkeypatch.setattr(image_facts, "examine", spy)
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
