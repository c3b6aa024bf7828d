"""The choice among several videos in one file."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.video.source import open_source


@pytest.fixture
def two_videos(tmp_path: Path) -> Path:
    """A file with a video of 96x64 px in the grey 60, and one of 64x48 px in the grey 180."""
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("ffv1", rate=10) for _ in range(2)]
        for stream, (width, height) in zip(streams, ((96, 64), (64, 48)), strict=True):
            stream.codec_context.width, stream.codec_context.height = width, height
            stream.codec_context.pix_fmt = "bgr0"
        for k in range(5):
            for stream, grey in zip(streams, (60, 180), strict=True):
                context = stream.codec_context
                image = np.full((context.height, context.width, 3), grey, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 10)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("number", "size", "grey"), [(None, (96, 64), 60), (0, (96, 64), 60), (1, (64, 48), 180)])
def test_a_video_is_chosen_by_its_number(
    two_videos: Path, number: int | None, size: tuple[int, int], grey: int
) -> None:
    with open_source(two_videos, stream=number) as source:
        assert (source.info.width, source.info.height) == size
        assert [int(frame.image[9, 9, 0]) for frame in source] == [grey] * 5


def test_a_number_without_a_video_is_refused(two_videos: Path) -> None:
    with pytest.raises(InputError, match=r"expected a video stream from 0 to 1 of .*two.mkv, found 2"):
        open_source(two_videos, stream=2)
