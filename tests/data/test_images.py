"""What an image file holds, and every way in which it can be broken."""

from pathlib import Path

import numpy as np
import pytest

from streamdet.data.images import examine, read_image
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
