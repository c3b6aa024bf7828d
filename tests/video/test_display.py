"""The display of pictures: rotation, pixel aspect ratio, odd sizes."""

import gc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.video.source import open_source

MakeClip = Callable[..., Path]

Matrix = tuple[int, int, int, int]
# The display matrices of ISO/IEC 14496-12, section 8.3.2, for clockwise turns: a, b, c, d.
TURNS: dict[int, Matrix] = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
# Those that mirror, by what they exchange.
MIRRORS: dict[str, Matrix] = {
    "left and right": (-1, 0, 0, 1),
    "top and bottom": (1, 0, 0, -1),
    "rows and columns": (0, 1, 1, 0),
    "rows and columns from the end": (0, -1, -1, 0),
}


def write_quadrants(path: Path, pixel_format: str = "yuv444p") -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Write frames of four different greys, 96 wide and 64 high, and return the picture."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[:32, :48], image[:32, 48:], image[32:, :48], image[32:, 48:] = 40, 100, 160, 220
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "0"})
        stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 96, 64, pixel_format
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return image


def set_display(path: Path, matrix: Matrix) -> None:
    """Overwrite the matrix in the first track header of an mp4 file."""
    content = bytearray(path.read_bytes())
    # tkhd: type, version and flags, times and id (20), reserved (8), layer to reserved (8), then the matrix.
    start = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    a, b, c, d = (value * 0x10000 for value in matrix)
    rows = (a, b, 0, c, d, 0, 0, 0, 0x40000000)
    content[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in rows)
    path.write_bytes(content)


@pytest.mark.parametrize("clockwise", TURNS)
def test_pictures_come_upright(tmp_path: Path, clockwise: int) -> None:
    path = tmp_path / "turned.mp4"
    image = write_quadrants(path)
    set_display(path, TURNS[clockwise])
    upright = np.rot90(image, -clockwise // 90)
    with open_source(path) as source:
        assert (source.info.height, source.info.width) == upright.shape[:2]
        frames = list(source)
    assert len(frames) == 5
    assert np.abs(frames[0].image.astype(int) - upright).max() <= 3
    assert frames[0].image.flags.c_contiguous


@pytest.mark.parametrize(
    ("mirror", "expected"),
    [
        ("left and right", [[100, 40], [220, 160]]),
        ("top and bottom", [[160, 220], [40, 100]]),
        ("rows and columns", [[40, 160], [100, 220]]),
        ("rows and columns from the end", [[220, 100], [160, 40]]),
    ],
)
def test_mirrored_pictures_are_shown_mirrored(tmp_path: Path, mirror: str, expected: list[list[int]]) -> None:
    path = tmp_path / "mirrored.mp4"
    write_quadrants(path)
    set_display(path, MIRRORS[mirror])
    with open_source(path) as source:
        image = next(source).image
        height, width = image.shape[:2]
        assert (source.info.height, source.info.width) == (height, width)
    corners = image[[[4, 4], [-5, -5]], [[4, -5], [4, -5]], 0]
    np.testing.assert_allclose(corners.astype(int), expected, atol=3)


def test_a_clip_that_is_mirrored_left_and_right_stands_on_its_feet(data: Path) -> None:
    """The clip is the first of `vtest.avi`, whose pictures it mirrors."""
    with open_source(data / "cases/video/hflip.mp4") as mirrored, open_source(data / "videos/vtest.avi") as plain:
        difference = next(mirrored).image.astype(int) - next(plain).image[:, ::-1]
    assert np.abs(difference).mean() < 8


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(16, 11)])
def test_the_shape_of_pixels_is_known(make_clip: MakeClip, aspect: Fraction) -> None:
    with open_source(make_clip(aspect=aspect)) as source:
        assert source.info.sample_aspect_ratio == aspect


def test_a_turned_pixel_is_as_high_as_it_was_wide(make_clip: MakeClip) -> None:
    path = make_clip(aspect=Fraction(16, 11))
    set_display(path, TURNS[90])
    with open_source(path) as source:
        assert source.info.sample_aspect_ratio == Fraction(11, 16)


def test_odd_sizes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    image = np.random.default_rng(0).integers(0, 255, (67, 101, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 101, 67, "bgr0"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    with open_source(path) as source:
        np.testing.assert_array_equal(next(source).image, image)


def test_of_several_videos_the_best_is_taken_and_cover_art_is_none(data: Path) -> None:
    with open_source(data / "videos" / "nasa_13013.mp4") as source:
        assert (source.info.width, source.info.height) == (480, 270)


def frames_held() -> int:
    # Not isinstance, which asks every object for its class: one of torch answers with a warning.
    return sum(type(each) is av.VideoFrame for each in gc.get_objects())


def test_decoded_pictures_do_not_stay_until_the_next_garbage_collection(make_clip: MakeClip) -> None:
    """FFmpeg's decoders reuse the memory of those that have gone: as many as stay, as much it takes."""
    path = make_clip("clip.mp4", list(range(50)), Fraction(1, 10))
    gc.collect()
    gc.disable()
    try:
        before = frames_held()
        with open_source(path) as source:
            assert sum(1 for _ in source) == 50
            assert frames_held() - before < 5
    finally:
        gc.enable()
