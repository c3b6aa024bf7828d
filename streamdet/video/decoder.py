"""Decodes on the CPU, or on an NVIDIA GPU that has proved to give the same pictures."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Protocol

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.codec.hwaccel import HWAccel

from streamdet.errors import StreamdetError
from streamdet.types import Planes
from streamdet.video.picture import RgbConverter, quarter_turns

# So many pictures the CPU may be ahead of the hardware's first: at most 16 wait for their place in display order.
_HEAD_START = 32


class Decoder(Protocol):
    """Turns the packets of one video stream into pictures in display order."""

    def decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Return the pictures that `packet` completes; None, or an empty packet, asks for those held back."""


class HardwareError(Exception):
    """Hardware cannot decode a video, or not any more; the message is the end of a sentence that says why."""


class ProvenDecoder:
    """Hardware if its first picture is that of `software` in time, colours and every pixel, `software` if it is not.

    From the first key frame on both get the packets, until each has given a picture; then all pictures come from the
    one that is taken, so that none is lost. `open_hardware` may raise HardwareError, as may its decoder. `refusal` says
    why the hardware is not used, and is None while it is.
    """

    def __init__(self, software: av.VideoStream, open_hardware: Callable[[av.VideoStream], Decoder]) -> None:
        self.refusal: str | None = None
        self._software = software
        self._taken: Decoder | None = None
        self._begun = False
        self._soft: list[av.VideoFrame] = []
        self._hard: list[av.VideoFrame] = []
        try:
            self._hardware = open_hardware(software)
        except HardwareError as error:
            self.refusal, self._taken = str(error), software

    def decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Return pictures as `Decoder` says.

        Raises av.FFmpegError where the software in use cannot decode, HardwareError where hardware in use fails.
        """
        if self._taken is not None:
            return self._taken.decode(packet)
        self._begun = self._begun or (packet is not None and packet.is_keyframe)
        return self._prove(packet) if self._begun else list(self._software.decode(packet))

    def _prove(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Decode `packet` twice; return nothing until one decoder is taken, then all it gave."""
        try:
            self._hard += self._hardware.decode(packet) if self.refusal is None else []
        except HardwareError as error:
            self.refusal = str(error)
        self._soft += self._software.decode(packet)
        more = packet is not None and packet.size > 0 and len(self._soft) < _HEAD_START
        if self.refusal is None and more and not (self._soft and self._hard):
            return []
        return self._decide()

    def _decide(self) -> list[av.VideoFrame]:
        soft, hard = self._soft, self._hard
        self._soft, self._hard = [], []
        self.refusal = self.refusal or _difference(soft, hard)
        if self.refusal is not None:
            self._taken = self._software
            return soft
        self._taken = self._hardware
        self._software.codec_context.flush_buffers()  # its pictures need memory, and it may have to start again
        # Only the software's frame tells how the container wants the picture turned.
        return [soft[0], *hard[1:]]


def _difference(soft: list[av.VideoFrame], hard: list[av.VideoFrame]) -> str | None:
    """Return in what the first pictures differ, None when they do not."""
    if not soft or not hard:
        return "it gave no picture"
    expected, found = soft[0], hard[0]
    for name in ("pts", "colorspace", "color_range"):
        if getattr(expected, name) != getattr(found, name):
            return f"its first picture has {name} {getattr(found, name)}, not {getattr(expected, name)}"
    to_rgb = RgbConverter(quarter_turns(expected))
    try:
        is_same = np.array_equal(to_rgb(expected), to_rgb(found))
    except StreamdetError as error:
        return str(error)
    return None if is_same else "its first picture differs from the CPU's"


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
