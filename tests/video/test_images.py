"""Folders of images as video."""

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.types import UInt8Array
from streamdet.video.source import open_source


def picture(level: int, height: int = 40, width: int = 60) -> UInt8Array:
    return np.full((height, width, 3), level, np.uint8)


def write(path: Path, image: UInt8Array) -> None:
    """Write RGB `image`, also where the path is not ASCII."""
    path.write_bytes(cv2.imencode(path.suffix, image[:, :, ::-1])[1].tobytes())


def test_images_come_in_order_at_a_nominal_rate(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        write(tmp_path / f"é{number}.png", picture(number))
    with open_source(tmp_path) as source:
        info = source.info
        assert (info.width, info.height, info.frame_rate, info.frame_count, info.live) == (60, 40, None, 3, False)
        assert source.audio_from is None
        frames = list(source)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 9, 10]
    assert [frame.time for frame in frames] == [Fraction(k, 30) for k in range(3)]
    assert all(frame.image.flags.c_contiguous for frame in frames)


def test_the_channels_are_red_green_blue(tmp_path: Path) -> None:
    write(tmp_path / "a.png", np.full((4, 4, 3), (10, 20, 30), np.uint8))
    with open_source(tmp_path / "a.png") as source:
        assert next(source).image[0, 0].tolist() == [10, 20, 30]


def test_broken_images_are_counted_and_skipped(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"{number}.png", picture(number))
    (tmp_path / "1.png").write_bytes(b"no image")
    (tmp_path / "2.png").write_bytes(b"")
    with open_source(tmp_path) as source:
        assert [int(frame.image[0, 0, 0]) for frame in source] == [0, 3]
        assert source.damaged == 2
        assert source.warnings[0] == f"{tmp_path} is damaged: 2 of 4 images could not be decoded"


def test_a_folder_of_broken_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"none of the 1 in .* can be used: .*1.png cannot be decoded"):
        open_source(tmp_path)


def test_a_photo_taken_sideways_stands_upright(tmp_path: Path) -> None:
    image = picture(40)
    image[:, :30] = 200
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    # EXIF with one entry: orientation (0x0112), short, 6 = turn clockwise to show.
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    (tmp_path / "photo.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    with open_source(tmp_path) as source:
        assert (source.info.width, source.info.height) == (40, 60)
        upright = next(source).image
    assert upright[10, 20, 0] > 190
    assert upright[50, 20, 0] < 50


def test_every_and_stop_work_as_for_video(tmp_path: Path) -> None:
    for number in range(10):
        write(tmp_path / f"{number}.png", picture(number))
    with open_source(str(tmp_path / "*.png"), every=3) as source:
        indices = []
        for frame in source:
            indices.append(frame.index)
            if frame.index == 6:
                source.stop()
    assert indices == [0, 3, 6]


def test_a_rate_that_is_given_is_used_and_an_unknown_one_is_told(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.png", picture(number))
    with open_source(tmp_path, fps=12.5) as source:
        assert source.info.frame_rate == Fraction(25, 2)
        assert [frame.time for frame in source] == [Fraction(2 * k, 25) for k in range(3)]
        assert source.warnings == []
    with open_source(tmp_path) as source:
        assert source.info.frame_rate is None
        assert source.warnings == [f"the images of {tmp_path} are shown at 30 Hz; --fps tells their true rate"]


@pytest.mark.parametrize("place", [".", "img1"])
def test_the_rate_of_a_sequence_is_read_from_its_description(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "img1"
    folder.mkdir()
    for number in range(3):
        write(folder / f"{number}.png", picture(number))
    (tmp_path / place / "seqinfo.ini").write_bytes(b"\xef\xbb\xbf[Sequence]\nname=a\nframeRate=14\n")
    with open_source(folder) as source:
        assert source.info.frame_rate == 14
        assert source.warnings == []


@pytest.mark.parametrize("text", ["[Sequence]\nframeRate=many\n", "frameRate=14", "[Sequence]\nframeRate=nan\n", ""])
def test_a_description_without_a_rate_is_ignored(tmp_path: Path, text: str) -> None:
    write(tmp_path / "a.png", picture(1))
    (tmp_path / "seqinfo.ini").write_text(text)
    with open_source(tmp_path) as source:
        assert source.info.frame_rate is None


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), 0, -1, 1e9])
def test_an_absurd_rate_is_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(InputError, match=r"fps must be between 0.001 and 1000, got"):
        open_source(tmp_path, fps=fps)
