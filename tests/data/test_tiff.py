"""TIFF files of several pages."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from streamdet.data.tiff import tiff_pages
from streamdet.errors import InputError
from streamdet.types import UInt8Array
from streamdet.video.source import open_source
from tests.data.pictures import write_image

KIND = 254  # the tag that says what a page is


def pages(count: int, height: int = 30, width: int = 50) -> list[UInt8Array]:
    return [np.full((height, width, 3), (10 + 5 * k, 100, 200 - 5 * k), np.uint8) for k in range(count)]


def tiff(images: list[UInt8Array], **options: Any) -> bytes:
    first, *others = map(PIL.Image.fromarray, images)
    file = io.BytesIO()
    first.save(file, "TIFF", save_all=True, append_images=others, **options)
    return file.getvalue()


@pytest.mark.parametrize("options", [{}, {"big_tiff": True}, {"compression": "tiff_lzw"}])
def test_the_pages_are_the_frames(tmp_path: Path, options: dict[str, Any]) -> None:
    images = pages(19)
    (tmp_path / "a.tif").write_bytes(tiff(images, **options))
    with open_source(tmp_path / "a.tif", fps=10) as source:
        assert (source.info.width, source.info.height, source.info.frame_count) == (50, 30, 19)
        frames = list(source)
        assert source.warnings == []
    np.testing.assert_array_equal([frame.image for frame in frames], images)
    assert [frame.time * 10 for frame in frames] == list(range(19))


def test_grey_pages_of_16_bits_share_their_levels(tmp_path: Path) -> None:
    """As thermal cameras record."""
    images = [np.full((30, 50), 3000 + 100 * k, np.uint16) for k in range(3)]
    images[0][:15] = 3200
    first, *others = map(PIL.Image.fromarray, images)
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    with open_source(tmp_path / "a.tif", levels="auto") as source:
        assert [frame.image[-1, -1].tolist() for frame in source] == [[0] * 3, [128] * 3, [255] * 3]


def test_a_thumbnail_is_no_frame(tmp_path: Path) -> None:
    image, thumbnail = pages(1)[0], pages(1, 3, 5)[0]
    content = bytearray(tiff([image, thumbnail]))
    (start,) = (page.start for page in list(tiff_pages(content))[1:])
    # Its first entry becomes the kind "smaller copy"; Pillow cannot write two kinds.
    struct.pack_into("<HHII", content, start + 2, KIND, 4, 1, 1)
    struct.pack_into("<HHIHH", content, start + 14, 256, 3, 1, 5, 0)
    (tmp_path / "a.tif").write_bytes(content)
    with open_source(tmp_path / "a.tif") as source:
        np.testing.assert_array_equal([frame.image for frame in source], [image])


def test_each_page_is_checked_for_its_size(tmp_path: Path) -> None:
    small, large = pages(2), pages(1, 60, 100)
    (tmp_path / "a.tif").write_bytes(tiff([small[0], *large, small[1]]))
    with open_source(tmp_path / "a.tif", max_pixels=5999) as source:
        np.testing.assert_array_equal([frame.image for frame in source], small)
        assert source.warnings[0] == f"{tmp_path / 'a.tif'} is damaged: 1 of 3 images could not be decoded"
    with pytest.raises(InputError, match=r"of the 3 in .*: page 1 of .*a.tif announces 50 x 30 px, more than 99$"):
        open_source(tmp_path / "a.tif", max_pixels=99)


def test_in_a_folder_only_first_pages_are_read_and_that_is_said(tmp_path: Path) -> None:
    first, second = pages(2)
    for name in ("a.tif", "c.tif"):
        (tmp_path / name).write_bytes(tiff([first, second]))
    PIL.Image.fromarray(first).save(tmp_path / "d.webp", save_all=True, append_images=[PIL.Image.fromarray(second)])
    write_image(tmp_path / "b.png", second)
    with open_source(tmp_path, fps=10) as source:
        reds = [int(frame.image[0, 0, 0]) for frame in source]
        assert source.warnings == [f"3 files of {tmp_path} hold several images each, of which only the first is read"]
    np.testing.assert_allclose(reds, [10, 15, 10, 10], atol=3)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_chain_of_pages_that_never_ends_is_followed_once(order: str) -> None:
    def page(start: int, following: int) -> bytes:
        sides = struct.pack(f"{order}HHIHHHHIHH", 256, 3, 1, 5, 0, 257, 3, 1, 3, 0)
        return struct.pack(f"{order}H", 2) + sides + struct.pack(f"{order}I", following)

    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    content = head + page(8, 38) + page(38, 8)
    assert [(found.start, found.height_px, found.width_px) for found in tiff_pages(content)] == [(8, 3, 5), (38, 3, 5)]
