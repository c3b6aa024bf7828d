"""Pictures of two fields, of which a bar has moved from one to the next, become whole."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamdet.options import Deinterlace
from streamdet.types import UInt8Array
from streamdet.video.source import open_source

COUNT = 12


def comb(image: UInt8Array) -> float:
    """Return how much a row differs from the mean of its neighbours on average: large where two fields are mixed."""
    rows = image[:, :, 0].astype(float)
    return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())


@pytest.fixture(params=["clip.mkv", "clip.ts"])
def interlaced(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A clip of a bright bar that moves by 6 px from field to field, flagged as interlaced."""
    path = tmp_path / str(request.param)
    with av.open(str(path), "w") as container:
        options = {"x264-params": "tff=1:bframes=2:keyint=6", "qp": "4"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.codec_context.width, stream.codec_context.height, stream.codec_context.pix_fmt = 192, 96, "yuv420p"
        for k in range(COUNT):
            image = np.full((96, 192, 3), 40, np.uint8)
            for field in range(2):
                left = 6 * (2 * k + field)
                image[field::2, left : left + 24] = 220
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("choice", "whole"), [("auto", True), ("on", True), ("off", False)])
def test_two_fields_become_one_picture(interlaced: Path, choice: Deinterlace, whole: bool) -> None:
    with open_source(interlaced, deinterlace=choice) as source:
        frames = list(source)
        assert source.warnings == []
    assert [frame.time - frames[0].time for frame in frames] == [Fraction(k, 25) for k in range(COUNT)]
    combs = [comb(frame.image) for frame in frames]
    assert (max(combs) < 3) if whole else (min(combs) > 3)


def test_frames_that_are_not_flagged_are_unchanged(data: Path) -> None:
    path = data / "videos" / "vtest.avi"
    with open_source(path, max_frames=5) as auto, open_source(path, max_frames=5, deinterlace="off") as off:
        for one, other in zip(auto, off, strict=True):
            np.testing.assert_array_equal(one.image, other.image)
