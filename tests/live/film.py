"""Films: pictures in H.264, as NAL units (ITU-T H.264, section 7.3.1), and their packets (RFC 6184)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import numpy as np

from streamdet.types import UInt8Array
from tests.live.counter import drawn

KEY_INTERVAL = 10  # pictures from one key frame to the next
RATE = Fraction(25)
LARGEST_PAYLOAD = 40  # bytes, of one packet
_SLICE, _KEY_SLICE, _SPS, _PPS, _FU_A = 1, 5, 7, 8, 28
_TYPE, _HEAD = 0x1F, 0xE0  # of the first byte of a NAL unit: its type; its importance


@dataclass(frozen=True)
class Film:
    """Pictures at `rate`, in Hz; `units` are the NAL units of each, without the parameter sets `sps` and `pps`.

    No picture waits for a later one.
    """

    sps: bytes
    pps: bytes
    units: tuple[tuple[bytes, ...], ...]
    rate: Fraction = RATE

    @classmethod
    def of(cls, stream: bytes, rate: Fraction) -> Film:
        """Return the film in a `stream` of bytes (annex B) with one slice a picture."""
        units = list(_nal_units(stream))
        sets = {unit[0] & _TYPE: unit for unit in units}
        slices = (unit for unit in units if unit[0] & _TYPE in (_SLICE, _KEY_SLICE))
        return cls(sets[_SPS], sets[_PPS], tuple((unit,) for unit in slices), rate)

    def is_key(self, number: int) -> bool:
        """Return whether picture `number` needs no earlier one."""
        return self.units[number][0][0] & _TYPE == _KEY_SLICE

    def access_unit(self, number: int) -> tuple[bytes, ...]:
        """Return all NAL units of a picture; a key frame begins with the parameter sets."""
        units = self.units[number]
        return (self.sps, self.pps, *units) if self.is_key(number) else units


@cache
def film(count: int = 100, scale: int = 1) -> Film:
    """Return `count` pictures of 128 * scale by 64 * scale px at `RATE`, into which their numbers from 0 are drawn."""
    images = (np.repeat(drawn(number, scale)[:, :, None], 3, axis=2) for number in range(count))
    return Film.of(coded(images, RATE), RATE)


def coded(images: Iterable[UInt8Array], rate: Fraction, *, key_interval: int = KEY_INTERVAL) -> bytes:
    """Return `images` (H, W, 3) in H.264 (annex B), one slice each; one in `key_interval` is a key frame."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", 1 / rate, rate
    context.thread_count = 1  # x264 makes a slice for each of its threads
    context.options = {"tune": "zerolatency", "g": str(key_interval), "sc_threshold": "0", "x264-params": "slices=1"}
    stream = b""
    for number, image in enumerate(images):
        if not context.is_open:
            context.height, context.width = image.shape[:2]
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = number, 1 / rate
        stream += b"".join(bytes(packet) for packet in context.encode(frame))
    return stream


def _nal_units(stream: bytes) -> Iterator[bytes]:
    """Yield the units of a byte stream (annex B), which begin after 00 00 01."""
    return (part.rstrip(b"\0") for part in stream.split(b"\0\0\1") if part.rstrip(b"\0"))


def garbled(unit: bytes) -> bytes:
    """Return a NAL unit of the same type and length as `unit`, whose content no decoder can make a picture of."""
    return unit[:1] + bytes([0xFF]) * (len(unit) - 1)


def rtp_payloads(unit: bytes, largest: int = LARGEST_PAYLOAD) -> Iterator[bytes]:
    """Yield `unit` as payloads: as it is, or cut into fragments (FU-A, section 5.8) of up to `largest` bytes."""
    if len(unit) <= largest:
        yield unit
        return
    starts = range(1, len(unit), largest)
    for start in starts:
        yield fragment(unit[0], unit[start : start + largest], start == 1, start == starts[-1])


def fragment(first_byte: int, content: bytes, begins: bool, ends: bool) -> bytes:
    """Return a fragment of the NAL unit that begins with `first_byte`."""
    return bytes([first_byte & _HEAD | _FU_A, begins << 7 | ends << 6 | first_byte & _TYPE]) + content
