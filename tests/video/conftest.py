"""Small clips made on the spot, whose pictures and times are known."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
import pytest

MakeClip = Callable[..., Path]


def level(index: int) -> int:
    """The grey of the picture with this index: neighbours differ by 16."""
    return 32 + 16 * (index % 12)


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Return a function that writes grey pictures, one per entry of `ticks`, and says where.

    `options` are those of the muxer.
    """

    def make(
        name: str = "clip.mp4",
        ticks: Sequence[int] = range(30),
        time_base: Fraction = Fraction(1, 10),
        size: tuple[int, int] = (96, 64),
        aspect: Fraction = Fraction(1),
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> Path:
        path = tmp_path / name
        # The header of an mp4 tells the first time in this unit.
        exact = {"movie_timescale": str(time_base.denominator)} if path.suffix == ".mp4" else {}
        with av.open(str(path), "w", container_options=exact | dict(options)) as container:
            stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "g": "10"})
            context = stream.codec_context
            context.width, context.height, context.pix_fmt = *size, "yuv420p"
            stream.time_base = context.time_base = time_base
            context.sample_aspect_ratio = aspect
            for index, pts in enumerate(ticks):
                image = np.full((size[1], size[0], 3), level(index), np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = pts, time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make
