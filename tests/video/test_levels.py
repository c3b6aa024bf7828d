"""Grey pictures of more than 8 bits."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamdet.video.source import open_source


def ramp(low: int, high: int) -> npt.NDArray[np.uint16]:
    """A picture of 64x100 px that rises from `low` at the left to `high` at the right."""
    row = np.linspace(low, high, 100).astype(np.uint16)
    return np.repeat(row[None], 64, axis=0)


def write(path: Path, pictures: list[npt.NDArray[np.uint16]]) -> Path:
    """Write the pictures as a folder of images, or as a video where `path` has an ending."""
    if not path.suffix:
        path.mkdir()
        for k, picture in enumerate(pictures):
            (path / f"{k}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        return path
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 100, 64, "gray16le"
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="gray16le")
            frame.pts, frame.time_base = k, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["thermal.mkv", "thermal"])
def test_the_first_picture_decides_what_is_black_and_white(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [ramp(7000, 8000), ramp(7500, 9000)])
    with open_source(path) as source:
        first, second = (frame.image for frame in source)
    np.testing.assert_allclose(first[9, [0, 50, 99]], np.array([0, 128, 255])[:, None].repeat(3, 1), atol=2)
    np.testing.assert_allclose(second[9, [0, 99]], np.array([128, 255])[:, None].repeat(3, 1), atol=2)


@pytest.mark.parametrize("name", ["thermal.mkv", "thermal"])
def test_full_levels_are_those_of_the_range(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [ramp(0, 65535)])
    with open_source(path, levels="full") as source:
        image = next(source).image
    np.testing.assert_allclose(image[9, :, 0], np.linspace(0, 255, 100), atol=1)


def test_a_picture_of_one_grey_is_black_and_not_an_error(tmp_path: Path) -> None:
    with open_source(write(tmp_path / "flat", [ramp(7000, 7000)])) as source:
        assert int(next(source).image.max()) == 0


@pytest.mark.parametrize("kind", ["grey", "rgba"])
def test_pictures_of_8_bits_keep_their_colours(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.png"
    shape = {"grey": (16, 32), "rgba": (16, 32, 4)}[kind]
    value = {"grey": 77, "rgba": (50, 100, 200, 128)}[kind]
    path.write_bytes(cv2.imencode(".png", np.full(shape, value, np.uint8))[1].tobytes())
    with open_source(path) as source:
        assert next(source).image[3, 3].tolist() == {"grey": [77, 77, 77], "rgba": [200, 100, 50]}[kind]
