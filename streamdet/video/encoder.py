"""Encodes RGB arrays as H.264 or VP9 that plays in a browser, on the CPU or on an NVIDIA GPU that has passed a trial.

The GPU has not been tested yet: the tests replace it with an encoder of the CPU.
"""

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

X264, NVENC, VP9 = "libx264", "h264_nvenc", "libvpx-vp9"
# Without B-frames ("bf") packets leave in display order, and times stay exact in every container.
_OPTIONS = {
    X264: {"preset": "veryfast", "crf": "23", "bf": "0"},
    NVENC: {"preset": "p4", "rc": "vbr", "cq": "23", "b": "0", "bf": "0"},
    VP9: {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "crf": "32", "b": "0"},
}
_KEY_FRAME_INTERVAL_S = 2
_BT709 = 1  # AVCOL_SPC_BT709: ITU-T H.273, table 4
# More threads gain nothing at this preset, and each of them delays the output by a frame.
_MAX_THREADS = 4
# Converting the colours of a picture in several threads costs 10 % more CPU time; it pays where cores would be idle.
_CORES_PER_COLOUR_THREAD = 4
# The trial of an encoder: pictures of one grey each, which may come back different by the tolerance, of 255.
_TRIAL_INFO = VideoInfo(256, 256, Fraction(25), None, live=False)
_TRIAL_PERIOD_S = 1 / 25
_TRIAL_GREYS = (60, 120, 180)
_TRIAL_TOLERANCE = 8


class VideoEncoder:
    """Adds a video stream to `container` and encodes pictures for it: yuv420p, BT.709, limited range.

    `shape` is that of the first image; the size of the stream is rounded up to even numbers, and later images of
    another size are scaled to it. `time_base` is in s per tick. The pixel aspect ratio of `info` is kept; VP9 cannot
    store one, so that its pictures are stretched to square pixels. Raises av.FFmpegError when `codec` does not open.
    """

    def __init__(
        self, container: OutputContainer, codec: str, shape: tuple[int, ...], time_base: Fraction, info: VideoInfo
    ) -> None:
        self._shape = shape[:2]
        aspect = info.sample_aspect_ratio
        self._content = shape[0], round(shape[1] * aspect) if codec == VP9 else shape[1]
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
        context.sample_aspect_ratio = Fraction(1) if codec == VP9 else aspect
        context.colorspace, context.color_range = _BT709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        context.thread_count = min(core_count(), _MAX_THREADS)
        context.open()
        self._stream = stream

    def encode(self, image: UInt8Array, pts: int) -> list[av.Packet]:
        """Encode `image`, uint8 (H, W, 3) RGB, shown at `pts` ticks, and return the packets that are ready."""
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
        """Return the remaining packets at the end of the stream."""
        return list(self._stream.encode(None))

    def fits(self, image: UInt8Array) -> bool:
        """Return whether `image` has the size of the first one."""
        return image.shape[:2] == self._shape

    def _fitted(self, image: UInt8Array) -> UInt8Array:
        """Return `image` scaled to the size of the stream, and padded to even numbers."""
        height, width = self._content
        if image.shape[:2] != self._content:
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        bottom, right = height % 2, width % 2
        if bottom or right:
            # A repeated edge is invisible; a black one would bleed into the picture.
            image = np.pad(image, ((0, bottom), (0, right), (0, 0)), mode="edge")
        return np.ascontiguousarray(image)


def encoders(software: str) -> list[str]:
    """Return the encoders to try, best first; the last one is `software`, the CPU's encoder."""
    return [NVENC, software] if software == X264 and nvenc_refusal() is None else [software]


@cache
def nvenc_refusal() -> str | None:
    """Return why NVENC is not used, None if it is; the trial runs once per process."""
    return encoding_error(NVENC)


def encoding_error(codec: str) -> str | None:
    """Encode grey pictures in memory, decode them on the CPU, and return what went wrong, or None."""
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="matroska") as container:
            _encode_trial(container, codec)
        file.seek(0)
        with av.open(file) as container:
            found = [(frame.time, np.mean(frame.to_ndarray(format="gray"))) for frame in container.decode(video=0)]
    except UnknownCodecError:
        return f"FFmpeg is built without {codec}"
    except av.FFmpegError as error:
        return str(error.strerror).lower()
    expected = [(pts * _TRIAL_PERIOD_S, grey) for pts, grey in enumerate(_TRIAL_GREYS)]
    if len(found) != len(expected) or not np.allclose(found, expected, atol=(_TRIAL_PERIOD_S / 10, _TRIAL_TOLERANCE)):
        return "its pictures came back with other times or greys"
    return None


def _encode_trial(container: OutputContainer, codec: str) -> None:
    encoder = VideoEncoder(container, codec, (_TRIAL_INFO.height, _TRIAL_INFO.width), Fraction(1, 25), _TRIAL_INFO)
    for pts, grey in enumerate(_TRIAL_GREYS):
        container.mux(encoder.encode(np.full((_TRIAL_INFO.height, _TRIAL_INFO.width, 3), grey, np.uint8), pts))
    container.mux(encoder.flush())
