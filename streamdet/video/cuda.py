"""Decodes on an NVIDIA GPU through FFmpeg's hwaccel; where it can, it leaves the pictures there.

Not yet run on a GPU: the tests put decoders of the CPU in its place, which pass on pictures as the GPU's do.
"""

from __future__ import annotations

from functools import cache

import av
from av.codec.codec import UnknownCodecError
from av.codec.hwaccel import HWAccel

from streamdet.types import Planes
from streamdet.video.decoder import HardwareError

# Their standards define every bit of the picture, so that all good decoders agree; those of MPEG-2, MPEG-4 part 2 and
# JPEG leave the rounding of the inverse transform open.
_EXACT_FORMATS = frozenset({"h264", "hevc", "vp8", "vp9", "av1"})
# The layouts that are known to carry the same samples as the CPU's planes.
_LAYOUTS = frozenset({"nv12", "p010le"})
# ITU-T H.273, table 4; FFmpeg's AVCOL_RANGE_UNSPECIFIED.
_NO_MATRIX, _NO_RANGE = 2, 0
_FULL_RANGE = 2


def open_context(video_format: str) -> av.VideoCodecContext:
    """Return a decoder of `video_format`, as FFmpeg calls it, on the default GPU; raises HardwareError."""
    if video_format not in _EXACT_FORMATS:
        raise HardwareError(f"decoders of {video_format} differ in their results")
    try:
        return _create_context(video_format)
    except (av.FFmpegError, UnknownCodecError, NotImplementedError) as error:
        raise HardwareError(f"none that decodes {video_format} can be opened ({_reason(error)})") from error


@cache
def claim_context() -> av.VideoCodecContext | None:
    """Let FFmpeg make the default GPU's context, which it does not share where torch came first; kept to the end.

    Does nothing where there is no such GPU.
    """
    try:
        return _hwaccel_context("h264", keeps=True)
    except (av.FFmpegError, UnknownCodecError, NotImplementedError):
        return None


def _create_context(video_format: str) -> av.VideoCodecContext:
    try:
        return _hwaccel_context(video_format, keeps=True)
    except av.FFmpegError:
        # What stays there is in the context that torch uses; FFmpeg refuses that where torch has made it, not FFmpeg.
        return _hwaccel_context(video_format, keeps=False)


def _hwaccel_context(video_format: str, *, keeps: bool) -> av.VideoCodecContext:
    # FFmpeg's own decoders carry the names of their formats, and only they can use a GPU.
    accel = HWAccel("cuda", allow_software_fallback=False, is_hw_owned=keeps)
    context = av.CodecContext.create(video_format, "r", accel)
    if not context.is_hwaccel:  # PyAV then decodes on the CPU
        raise NotImplementedError("FFmpeg is built without it")
    return context


def kept_planes(frame: av.VideoFrame) -> Planes | None:
    """Return the planes of `frame` if a GPU keeps them in NV12, None otherwise."""
    if frame.sw_format is None or frame.sw_format.name != "nv12":
        return None
    luma, chroma = frame.planes
    return Planes(luma, chroma, int(frame.colorspace), frame.color_range == _FULL_RANGE)


class CudaDecoder:
    """Decodes the packets of `stream`, which is only asked what its container knows about it.

    The frames are in "nv12" or "p010le", on the host or on the GPU, and carry times and colours, but not how the
    container wants them turned. Both opening and `decode` raise HardwareError. Damage that shows only in the bits of a
    picture is mended by the GPU in its own way, and neither reported nor counted.
    """

    def __init__(self, stream: av.VideoStream) -> None:
        if stream.container.format.name == "avi":
            raise HardwareError("AVI tells times only by the order in which a decoder gives its pictures")
        known = stream.codec_context
        context = open_context(known.codec.canonical_name)
        context.extradata = known.extradata
        context.width, context.height, context.reorder_depth = known.width, known.height, known.reorder_depth
        context.colorspace, context.color_range = known.colorspace, known.color_range
        context.thread_count = 1
        self._context = context

    def decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Return the pictures that `packet` completes; a damaged one is an error, since the CPU would mend it."""
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError as error:
            raise HardwareError(f"it failed ({_reason(error)})") from error
        return [self._checked(frame) for frame in frames]

    def _checked(self, frame: av.VideoFrame) -> av.VideoFrame:
        context = self._context
        if frame.is_corrupt:
            raise HardwareError("it met a damaged picture")
        layout = (frame.sw_format or frame.format).name
        if layout not in _LAYOUTS:
            raise HardwareError(f"it gave pictures in the layout {layout}")
        if (frame.width, frame.height) != (context.width, context.height):
            # FFmpeg crops what comes from a GPU only at the right and at the bottom.
            raise HardwareError(f"it gave {frame.width}x{frame.height} for {context.width}x{context.height} px")
        # PyAV has lost them on the way from the GPU: github.com/PyAV-Org/PyAV/issues/2231
        if frame.colorspace == _NO_MATRIX:
            frame.colorspace = context.colorspace
        if frame.color_range == _NO_RANGE:
            frame.color_range = context.color_range
        return frame


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
