"""The size that a file announces, in every format that OpenCV writes, and images that would fill the memory."""

import struct
import zlib
from pathlib import Path

import cv2
import pytest

from streamdet.data.image_header import announced_hw, size_problem
from streamdet.data.images import examine, read_image
from tests.data.pictures import noise, write_image

WRITTEN = {
    ".png": [],
    ".jpg": [],
    "progressive.jpg": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    ".bmp": [],
    ".tif": [],
    "lossy.webp": [cv2.IMWRITE_WEBP_QUALITY, 80],
    "lossless.webp": [cv2.IMWRITE_WEBP_QUALITY, 101],
    ".ppm": [],
    ".jp2": [],
}


@pytest.mark.parametrize("name", WRITTEN)
def test_every_format_announces_its_size(name: str) -> None:
    written, encoded = cv2.imencode(Path(f"a{name}").suffix, noise(0, 130, 150), WRITTEN[name])
    assert written
    assert announced_hw(encoded.tobytes()) == (130, 150)


HEADERS = {
    "webp with a canvas": b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x31\0\0\x1d\0\0",
    "gif": b"GIF89a\x32\0\x1e\0",
    "bmp of OS/2": b"BM" + bytes(12) + struct.pack("<IHH", 12, 50, 30),
    "bmp from top to bottom": b"BM" + bytes(12) + struct.pack("<Iii", 40, 50, -30),
    "code stream of a jp2": b"\xff\x4f\xff\x51\0\x2f\0\0\0\0\0\x32\0\0\0\x1e",
    "ppm with a comment": b"P6\n# width, height\n50 30\n255\n",
    "jpeg with fill bytes": b"\xff\xd8\xff\xff\xff\xe0\0\x04ab\xff\xc0\0\x0b\x08\0\x1e\0\x32\x01",
    "tiff of a large sensor": b"MM\0*\0\0\0\x08\0\x02" + struct.pack(">HHIIHHII", 256, 4, 1, 50, 257, 4, 1, 30),
    "bigtiff": b"II+\0\x08\0\0\0" + struct.pack("<QQHHQQHHQQ", 16, 2, 256, 4, 1, 50, 257, 4, 1, 30),
}


@pytest.mark.parametrize("name", HEADERS)
def test_rare_headers_are_read(name: str) -> None:
    assert announced_hw(HEADERS[name]) == (30, 50)


@pytest.mark.parametrize(
    "content",
    [b"", b"BM", b"\xff\xd8", b"\xff\xd8\xff\xc0\0", b"II*\0", b"MM\0*" + b"\xff" * 4, b"II+\0" + b"\xff" * 20],
)
def test_without_a_header_no_size_is_known(content: bytes) -> None:
    assert announced_hw(content) is None


def test_the_limit_is_a_hundred_million_pixels() -> None:
    assert size_problem(10_000, 10_000) is None
    assert size_problem(10_000, 10_001) == "announces 10000 x 10001 px, more than 100,000,000"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_an_image_that_would_fill_the_memory_is_not_decoded(tmp_path: Path) -> None:
    rows = zlib.compress(bytes(1_000_000))
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    assert examine(path).problem == "announces 40000 x 40000 px, more than 100,000,000"
    assert read_image(path) is None


def test_an_image_that_ends_early_is_not_read(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", noise(0))
    path.write_bytes(path.read_bytes()[:-400])
    assert read_image(path) is None
