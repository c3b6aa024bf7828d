"""Decodes on the CPU, or on hardware once it has proved to give the same pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import av
import numpy as np

from streamdet.errors import StreamdetError
from streamdet.video.rgb import RgbConverter, quarter_turns

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
