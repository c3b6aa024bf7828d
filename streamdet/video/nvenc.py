"""Whether the GPU encodes H.264 here: found out by doing it.

Not yet run on a GPU that does.
"""

from __future__ import annotations

import io
from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.codec.codec import UnknownCodecError

from streamdet.types import VideoInfo
from streamdet.video.encoder import NVENC, X264, VideoEncoder

_INFO = VideoInfo(256, 256, Fraction(25), None, live=False)
_PERIOD_S = 1 / 25
_GREYS = (60, 120, 180)
_TOLERANCE = 8


def encoders(software: str) -> list[str]:
    """Return the encoders to try, best first; the last one is `software`."""
    return [NVENC, software] if software == X264 and nvenc_refusal() is None else [software]


@cache
def nvenc_refusal() -> str | None:
    """Return why NVENC is not used, None when it is; it is tried once per process."""
    return encoding_error(NVENC)


def encoding_error(codec: str) -> str | None:
    """Encode three grey pictures in memory, decode them on the CPU and return what went wrong, None for nothing."""
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="matroska") as container:
            _encode(container, codec)
        file.seek(0)
        with av.open(file) as container:
            found = [(frame.time, np.mean(frame.to_ndarray(format="gray"))) for frame in container.decode(video=0)]
    except UnknownCodecError:
        return f"FFmpeg is built without {codec}"
    except av.FFmpegError as error:
        return str(error.strerror).lower()
    expected = [(pts * _PERIOD_S, grey) for pts, grey in enumerate(_GREYS)]
    if len(found) != len(expected) or not np.allclose(found, expected, atol=(_PERIOD_S / 10, _TOLERANCE)):
        return "its pictures came back with other times or greys"
    return None


def _encode(container: av.container.OutputContainer, codec: str) -> None:
    encoder = VideoEncoder(container, codec, (_INFO.height, _INFO.width), Fraction(1, 25), _INFO)
    for pts, grey in enumerate(_GREYS):
        container.mux(encoder.encode(np.full((_INFO.height, _INFO.width, 3), grey, np.uint8), pts))
    container.mux(encoder.flush())
