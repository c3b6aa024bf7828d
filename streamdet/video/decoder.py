"""Decodes on the CPU, or on an NVIDIA GPU whose first picture is exactly that of the CPU.

The GPU has not been tested yet: the tests replace it with decoders of the CPU that return pictures in its layouts.
"""

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
from streamdet.video.orientation import orientation
from streamdet.video.picture import RgbConverter

# Pictures that the CPU decodes before the hardware's first must be there: standards let at most 16 wait for reordering.
_HEAD_START = 32
# Formats whose standards define every bit of the picture, so that all correct decoders agree; those of MPEG-2, MPEG-4
# part 2 and JPEG leave the rounding of the inverse transform open.
_EXACT_FORMATS = frozenset({"h264", "hevc", "vp8", "vp9", "av1"})
# Layouts that are known to hold the same samples as the CPU's planes.
_LAYOUTS = frozenset({"nv12", "p010le"})
# Unspecified matrix coefficients (ITU-T H.273, table 4); FFmpeg's AVCOL_RANGE_UNSPECIFIED and AVCOL_RANGE_JPEG.
_NO_MATRIX, _NO_RANGE, _FULL_RANGE = 2, 0, 2
# Format -> the encoder that makes a sample of it, and the options that silence its log.
_SAMPLES = {
    "h264": ("libx264", {}),
    "hevc": ("libx265", {"x265-params": "log-level=none"}),
    "vp9": ("libvpx-vp9", {}),
    "av1": ("libsvtav1", {}),
}
_SAMPLE_SIDE_PX = 256  # all GPUs decode this size; some refuse less than 144
_SAMPLE_PICTURES = 3


class Decoder(Protocol):
    """Decodes the packets of one video stream."""

    def decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Return the pictures that `packet` completes, in display order; None, or an empty packet, flushes the rest."""


class HardwareError(Exception):
    """Raised when hardware cannot decode a video, or has failed; the message is the end of a sentence."""


class ProvenDecoder:
    """A decoder that uses hardware if its first picture equals that of `software` in time, colours and every pixel.

    From the first key frame on both decode the packets, until each has returned a picture. Then one of them is chosen
    and returns all pictures, so that none is lost. `open_hardware` may raise HardwareError, as may the decoder that it
    opens. `refusal` is the reason why `software` is used, None while the hardware is.
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
        """Return the pictures that `packet` completes, as described at `Decoder`.

        Raises av.FFmpegError when the software is used and cannot decode, HardwareError when the hardware is used and
        fails.
        """
        if self._taken is not None:
            return self._taken.decode(packet)
        self._begun = self._begun or (packet is not None and packet.is_keyframe)
        return self._prove(packet) if self._begun else list(self._software.decode(packet))

    def _prove(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Decode `packet` with both; return no pictures until one decoder is chosen, then all of that decoder."""
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
        """Choose a decoder by the first pictures, and return all pictures that it has decoded."""
        soft, hard = self._soft, self._hard
        self._soft, self._hard = [], []
        self.refusal = self.refusal or _difference(soft, hard)
        if self.refusal is not None:
            self._taken = self._software
            return soft
        self._taken = self._hardware
        self._software.codec_context.flush_buffers()  # frees its pictures, and prepares it to take over
        # Only the software's frame carries the orientation that the container asks for.
        return [soft[0], *hard[1:]]


def _difference(soft: list[av.VideoFrame], hard: list[av.VideoFrame]) -> str | None:
    """Return in what the first pictures differ, as the end of a sentence; None if they are equal."""
    if not soft or not hard:
        return "it gave no picture"
    expected, found = soft[0], hard[0]
    for name in ("pts", "colorspace", "color_range"):
        if getattr(expected, name) != getattr(found, name):
            return f"its first picture has {name} {getattr(found, name)}, not {getattr(expected, name)}"
    to_rgb = RgbConverter(orientation(expected))
    try:
        is_same = np.array_equal(to_rgb(expected), to_rgb(found))
    except StreamdetError as error:
        return str(error)
    return None if is_same else "its first picture differs from the CPU's"


class CudaDecoder:
    """A `Decoder` of `stream` on the default NVIDIA GPU, through FFmpeg's hwaccel.

    `stream` itself decodes nothing; it describes what its container declares. The frames are in "nv12" or "p010le", on
    the host or on the GPU. They carry times and colours, but not the orientation that the container asks
    for. Both opening
    and `decode` raise HardwareError. Bit errors that the GPU conceals without an error are neither reported nor
    counted.
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
        """Return the pictures that `packet` completes; a damaged one raises, since the CPU conceals it differently."""
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
            # FFmpeg crops pictures of a GPU only at the right and at the bottom.
            raise HardwareError(f"it gave {frame.width}x{frame.height} for {context.width}x{context.height} px")
        # PyAV has lost them on the way from the GPU: github.com/PyAV-Org/PyAV/issues/2231
        if frame.colorspace == _NO_MATRIX:
            frame.colorspace = context.colorspace
        if frame.color_range == _NO_RANGE:
            frame.color_range = context.color_range
        return frame


def open_context(video_format: str) -> av.VideoCodecContext:
    """Return a decoding context of `video_format`, FFmpeg's name, on the default GPU; raises HardwareError."""
    if video_format not in _EXACT_FORMATS:
        raise HardwareError(f"decoders of {video_format} differ in their results")
    try:
        return _create_context(video_format)
    except (av.FFmpegError, UnknownCodecError, NotImplementedError) as error:
        raise HardwareError(f"none that decodes {video_format} can be opened ({_reason(error)})") from error


@cache
def claim_context() -> av.VideoCodecContext | None:
    """Make FFmpeg create the CUDA context of the default GPU, and keep it until the process ends.

    To be called before torch uses the GPU: FFmpeg does not share a context that torch has created. Does nothing
    without a GPU.
    """
    try:
        return _hwaccel_context("h264", keeps=True)
    except (av.FFmpegError, UnknownCodecError, NotImplementedError):
        return None


def _create_context(video_format: str) -> av.VideoCodecContext:
    try:
        return _hwaccel_context(video_format, keeps=True)
    except av.FFmpegError:
        # Pictures can stay on the GPU only in a context that FFmpeg itself has created, see `claim_context`.
        return _hwaccel_context(video_format, keeps=False)


def _hwaccel_context(video_format: str, *, keeps: bool) -> av.VideoCodecContext:
    # FFmpeg's own decoders are named after their formats, and only they can use a GPU.
    accel = HWAccel("cuda", allow_software_fallback=False, is_hw_owned=keeps)
    context = av.CodecContext.create(video_format, "r", accel)
    if not context.is_hwaccel:  # PyAV then decodes on the CPU
        raise NotImplementedError("FFmpeg is built without it")
    return context


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def kept_planes(frame: av.VideoFrame) -> Planes | None:
    """Return the planes of `frame` if it is in GPU memory in NV12, None otherwise."""
    if frame.sw_format is None or frame.sw_format.name != "nv12":
        return None
    luma, chroma = frame.planes
    return Planes(luma, chroma, int(frame.colorspace), frame.color_range == _FULL_RANGE)


def cuda_refusals() -> dict[str, str | None]:
    """Decode a sample of each format, and return for each why the GPU is not used for it, None if it is."""
    return {video_format: _cuda_refusal(video_format) for video_format in _SAMPLES}


def _cuda_refusal(video_format: str) -> str | None:
    try:
        open_context(video_format)
        sample = _sample(*_SAMPLES[video_format])
        with av.open(sample) as container:
            stream = container.streams.video[0]
            decoder = ProvenDecoder(stream, CudaDecoder)
            count = sum(len(decoder.decode(packet)) for packet in container.demux(stream))
    except (HardwareError, av.FFmpegError, UnknownCodecError) as error:
        return str(error)
    if decoder.refusal is None and count != _SAMPLE_PICTURES:
        return f"{count} of {_SAMPLE_PICTURES} pictures came out"
    return decoder.refusal


def _sample(encoder: str, options: dict[str, str]) -> io.BytesIO:
    """Return a Matroska file whose pictures show a moving ramp of greys."""
    os.environ.setdefault("SVT_LOG", "1")  # errors only: SVT-AV1 has no other way to be quiet
    file = io.BytesIO()
    ramp = np.tile(np.arange(_SAMPLE_SIDE_PX, dtype=np.uint8)[None, :, None], (_SAMPLE_SIDE_PX, 1, 3))
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(encoder, rate=25, options=options)
        stream.codec_context.width = stream.codec_context.height = _SAMPLE_SIDE_PX
        for pts in range(_SAMPLE_PICTURES):
            frame = av.VideoFrame.from_ndarray(np.roll(ramp, 8 * pts, axis=1), format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    return file
