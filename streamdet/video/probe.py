"""Which formats the GPU decodes here, and exactly as the CPU does: found out by doing it."""

from __future__ import annotations

import io
import os
from fractions import Fraction

import av
import numpy as np
from av.codec.codec import UnknownCodecError

from streamdet.video.cuda import CudaDecoder, open_context
from streamdet.video.decoder import HardwareError, ProvenDecoder

# Format -> an encoder that makes a sample of it, and what keeps that one quiet.
_SAMPLES = {
    "h264": ("libx264", {}),
    "hevc": ("libx265", {"x265-params": "log-level=none"}),
    "vp9": ("libvpx-vp9", {}),
    "av1": ("libsvtav1", {}),
}
_SIDE_PX = 256  # all GPUs decode this size; some refuse less than 144
_PICTURES = 3


def cuda_refusals() -> dict[str, str | None]:
    """Return for each format why the GPU is not used for it, None where it is."""
    return {video_format: _refusal(video_format) for video_format in _SAMPLES}


def _refusal(video_format: str) -> str | None:
    try:
        open_context(video_format)
        sample = _sample(*_SAMPLES[video_format])
        with av.open(sample) as container:
            stream = container.streams.video[0]
            decoder = ProvenDecoder(stream, CudaDecoder)
            count = sum(len(decoder.decode(packet)) for packet in container.demux(stream))
    except (HardwareError, av.FFmpegError, UnknownCodecError) as error:
        return str(error)
    if decoder.refusal is None and count != _PICTURES:
        return f"{count} of {_PICTURES} pictures came out"
    return decoder.refusal


def _sample(encoder: str, options: dict[str, str]) -> io.BytesIO:
    """Return a Matroska file of pictures with a ramp of greys that moves."""
    os.environ.setdefault("SVT_LOG", "1")  # errors only: SVT-AV1 has no other way to be quiet
    file = io.BytesIO()
    ramp = np.tile(np.arange(_SIDE_PX, dtype=np.uint8)[None, :, None], (_SIDE_PX, 1, 3))
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(encoder, rate=25, options=options)
        stream.codec_context.width = stream.codec_context.height = _SIDE_PX
        for pts in range(_PICTURES):
            frame = av.VideoFrame.from_ndarray(np.roll(ramp, 8 * pts, axis=1), format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    return file
