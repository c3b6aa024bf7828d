"""From RGB arrays to H.264 or VP9 packets that play in a browser, on the CPU or a GPU that has proved to encode."""

from __future__ import annotations

import io
from fractions import Fraction
from functools import cache
from typing import cast

import av
import cv2
import numpy as np
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter

from streamdet.machine import core_count
from streamdet.types import UInt8Array, VideoInfo

X264, NVENC, _VP9 = "libx264", "h264_nvenc", "libvpx-vp9"
# Without B-frames packets leave in display order, and times stay exact in every container.
_OPTIONS = {
    X264: {"preset": "veryfast", "crf": "23", "bf": "0"},
    NVENC: {"preset": "p4", "rc": "vbr", "cq": "23", "b": "0", "bf": "0"},
    _VP9: {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "crf": "32", "b": "0"},
}
_KEY_FRAME_INTERVAL_S = 2
_BT709 = 1  # AVCOL_SPC_BT709: ITU-T H.273, table 4
# More threads than this gain nothing at this preset, but each of them holds back a frame.
_MAX_THREADS = 4
# A pool of threads for the colours of one picture costs a tenth more CPU time; it pays where cores would be idle.
_CORES_PER_COLOUR_THREAD = 4


class VideoEncoder:
    """Adds a video stream to `container` and encodes pictures for it: yuv420p, BT.709, limited range.

    Its size is that of the first image, rounded up to even numbers; later images of another size are scaled to it.
    Pixels keep their aspect ratio; VP9 has no place for it, so its pictures are stretched to square pixels. Raises
    av.FFmpegError when `codec` does not open.
    """

    def __init__(
        self, container: OutputContainer, codec: str, shape: tuple[int, ...], time_base: Fraction, info: VideoInfo
    ) -> None:
        self._shape = shape[:2]
        aspect = info.sample_aspect_ratio
        self._content = shape[0], round(shape[1] * aspect) if codec == _VP9 else shape[1]
        height, width = (length + length % 2 for length in self._content)
        self._time_base = time_base
        self._reformatter = VideoReformatter()
        self._colour_threads = max(core_count() // _CORES_PER_COLOUR_THREAD, 1)
        rate = info.frame_rate or Fraction(30)
        stream = cast(av.VideoStream, container.add_stream(codec, rate=rate, options=_OPTIONS[codec]))
        stream.time_base = time_base
        context = stream.codec_context
        context.time_base, context.gop_size = time_base, max(round(_KEY_FRAME_INTERVAL_S * rate), 1)
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.sample_aspect_ratio = Fraction(1) if codec == _VP9 else aspect
        context.colorspace, context.color_range = _BT709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        context.thread_count = min(core_count(), _MAX_THREADS)
        context.open()
        self._stream = stream

    def encode(self, image: UInt8Array, pts: int) -> list[av.Packet]:
        """Encode `image`, uint8 (H, W, 3) RGB, shown at `pts`; returns the packets that are ready."""
        rgb = av.VideoFrame.from_numpy_buffer(self._fitted(image), format="rgb24")
        frame = self._reformatter.reformat(
            rgb,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=self._colour_threads,
        )
        frame.pts, frame.time_base = pts, self._time_base
        return list(self._stream.encode(frame))

    def flush(self) -> list[av.Packet]:
        """Return the packets the encoder still holds back."""
        return list(self._stream.encode(None))

    def fits(self, image: UInt8Array) -> bool:
        """Whether `image` has the size of the first one."""
        return image.shape[:2] == self._shape

    def _fitted(self, image: UInt8Array) -> UInt8Array:
        height, width = self._content
        if image.shape[:2] != self._content:
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        bottom, right = height % 2, width % 2
        if bottom or right:
            # A repeated edge does not show, where a black one would bleed into the picture.
            image = np.pad(image, ((0, bottom), (0, right), (0, 0)), mode="edge")
        return np.ascontiguousarray(image)


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
