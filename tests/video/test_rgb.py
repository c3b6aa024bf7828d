"""Colours: against FFmpeg's own conversion, and against the equations of the standards."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph

from streamdet.types import UInt8Array
from streamdet.video.picture import RgbConverter
from streamdet.video.source import open_source

from .clips import CODED_CLIPS

CLIPS = (*CODED_CLIPS, "one-by-one-person-detection.mp4", "vtest.avi")
# How the scale filter calls the matrices of ITU-T H.273, table 4; unspecified (2) is read as BT.601.
MATRICES = {1: "bt709", 2: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020"}
# Kr and Kb: ITU-R BT.601-7 section 2.5.1, BT.709-6 section 3.2, BT.2020-2 table 4.
LUMA = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def ffmpeg_rgb(frame: av.VideoFrame) -> UInt8Array:
    """What FFmpeg makes of `frame` when it is told the colour space instead of finding it."""
    graph = Graph()
    size = f"{frame.width}x{frame.height}"
    wide = "full" if int(frame.color_range) == 2 else "limited"
    graph.link_nodes(
        graph.add("buffer", f"video_size={size}:pix_fmt={frame.format.name}:time_base=1/1000"),
        graph.add("scale", f"in_color_matrix={MATRICES[int(frame.colorspace)]}:in_range={wide}"),
        graph.add("format", "pix_fmts=rgb24"),
        graph.add("buffersink"),
    ).configure()
    graph.push(frame)
    return np.ascontiguousarray(graph.pull().to_ndarray())


def flat_frame(y: int, cb: int, cr: int, matrix: int, full: bool) -> av.VideoFrame:
    frame = av.VideoFrame(64, 48, "yuv420p")
    for plane, value in zip(frame.planes, (y, cb, cr), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    return frame


def expected_rgb(y: int, cb: int, cr: int, matrix: int, full: bool) -> tuple[float, ...]:
    """The equations of the standard, 8 bits."""
    red, blue = LUMA[matrix]
    low, luma_span, chroma_span = (0, 255, 255) if full else (16, 219, 224)
    # E'Y = (Y - 16) / 219; E'Cb = (Cb - 128) / 224
    light, u, v = (y - low) / luma_span, (cb - 128) / chroma_span, (cr - 128) / chroma_span
    # R = Y + 2 (1 - Kr) Cr; B = Y + 2 (1 - Kb) Cb; Y = Kr R + Kg G + Kb B
    r, b = light + 2 * (1 - red) * v, light + 2 * (1 - blue) * u
    g = (light - red * r - blue * b) / (1 - red - blue)
    return tuple(255 * min(max(part, 0.0), 1.0) for part in (r, g, b))


@pytest.mark.parametrize("name", CLIPS)
def test_real_clips_have_the_colours_that_ffmpeg_gives_them(data: Path, name: str) -> None:
    to_rgb = RgbConverter()
    with av.open(str(data / "videos" / name)) as container:
        stream = container.streams.best("video")
        assert stream is not None
        for frame in itertools.islice(container.decode(stream), 0, 30, 5):
            image = to_rgb(frame)
            assert image.dtype == np.uint8
            assert image.flags.c_contiguous
            assert np.abs(image.astype(int) - ffmpeg_rgb(frame)).max() <= 1


@pytest.mark.parametrize("matrix", LUMA)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("ycc", [(81, 90, 180), (145, 100, 110), (200, 128, 128), (60, 160, 110)])
def test_flat_colours_follow_the_standard(ycc: tuple[int, int, int], matrix: int, full: bool) -> None:
    image = RgbConverter()(flat_frame(*ycc, matrix, full))
    # FFmpeg's own 8-bit tables are up to 2.3 off; a wrong matrix or range would be 10 and more.
    np.testing.assert_allclose(image[24, 32], expected_rgb(*ycc, matrix, full), atol=3)


def test_a_change_of_size_or_colours_within_a_stream_is_followed() -> None:
    to_rgb = RgbConverter()
    for matrix, full in ((1, False), (6, True), (1, False)):
        image = to_rgb(flat_frame(81, 90, 180, matrix, full))
        np.testing.assert_allclose(image[24, 32], expected_rgb(81, 90, 180, matrix, full), atol=3)
    small = av.VideoFrame(31, 17, "yuv420p")
    small.pts, small.time_base = 1, Fraction(1, 25)
    assert to_rgb(small).shape == (17, 31, 3)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("rgb", [(200, 100, 50), (10, 20, 240), (128, 128, 128)])
def test_ycgco_is_converted_by_its_equations(rgb: tuple[int, int, int], full: bool) -> None:
    red, green, blue = rgb
    low, luma_span, chroma_span = (0, 255, 255) if full else (16, 219, 224)
    # ITU-T H.273, section 8.3, matrix 8.
    light, cg, co = green / 2 + (red + blue) / 4, green / 2 - (red + blue) / 4, (red - blue) / 2
    y, u, v = low + light * luma_span / 255, 128 + cg * chroma_span / 255, 128 + co * chroma_span / 255
    to_rgb = RgbConverter()
    image = to_rgb(flat_frame(round(y), round(u), round(v), 8, full))
    np.testing.assert_allclose(image[24, 32], rgb, atol=2)
    assert to_rgb.replaced is None


@pytest.mark.parametrize(
    ("matrix", "primaries", "nearest"),
    [(3, 2, 6), (10, 9, 9), (11, 9, 9), (12, 1, 1), (12, 9, 9), (13, 6, 6), (14, 9, 9), (15, 9, 9)],
)
def test_a_matrix_that_ffmpeg_does_not_know_is_replaced_by_the_nearest(
    matrix: int, primaries: int, nearest: int
) -> None:
    frame = flat_frame(81, 90, 180, matrix, full=False)
    frame.color_primaries = primaries
    to_rgb = RgbConverter()
    np.testing.assert_allclose(to_rgb(frame)[24, 32], expected_rgb(81, 90, 180, nearest, False), atol=3)
    assert to_rgb.replaced == matrix


def test_a_clip_in_ycgco_has_its_colours_and_no_warning(data: Path) -> None:
    with (
        open_source(data / "cases/video/mc_8.mp4") as source,
        open_source(data / "videos/vtest.avi", max_frames=40) as same,
    ):
        assert next(source).image.shape == next(same).image.shape
        assert source.warnings == []
