"""Video whose pictures know their number: it is drawn into them, survives coding, and is read back from what arrives.

A picture is a grid of black and white squares, which are the bits of its number. `Film` is such pictures in H.264, as
NAL units (ITU-T H.264, section 7.3.1); `rtp_payloads` cuts those into packets (RFC 6184).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import numpy as np

from streamdet.types import UInt8Array

SQUARE_PX = 16
_COLUMNS, _ROWS = 8, 4
KEY_INTERVAL = 10  # pictures from one key frame to the next
RATE = Fraction(25)
LARGEST_PAYLOAD = 40  # bytes, of one packet
_SLICE, _KEY_SLICE, _SPS, _PPS, _FU_A = 1, 5, 7, 8, 28
_TYPE, _HEAD = 0x1F, 0xE0  # of the first byte of a NAL unit: its type; its importance


def drawn(number: int, scale: int = 1) -> UInt8Array:
    """Return the picture with the `number`, which is below 2^32, as grey (64 * scale, 128 * scale)."""
    bits = np.unpackbits(np.array([number], ">u4").view(np.uint8)).reshape(_ROWS, _COLUMNS)
    side = SQUARE_PX * scale
    return np.kron(32 + 192 * bits, np.ones((side, side), np.uint8)).astype(np.uint8)


def number_in(image: UInt8Array) -> int:
    """Return the number that is drawn into `image` (H, W, 3), in the middles of its squares."""
    side = image.shape[0] // _ROWS
    bits = image[side // 2 :: side, side // 2 :: side, 0] > 128
    return int(np.packbits(bits.ravel()).view(">u4")[0])


@dataclass(frozen=True)
class Film:
    """The pictures 0, 1, 2, … at `RATE`; `units` are the NAL units of each, without parameter sets.

    Every `KEY_INTERVAL`-th one is a key frame, which no earlier picture is needed for; none waits for a later one.
    """

    sps: bytes
    pps: bytes
    units: tuple[tuple[bytes, ...], ...]

    def access_unit(self, number: int) -> tuple[bytes, ...]:
        """Return all NAL units of a picture; a key frame begins with the parameter sets."""
        units = self.units[number]
        return (self.sps, self.pps, *units) if number % KEY_INTERVAL == 0 else units


@cache
def film(count: int = 100, scale: int = 1) -> Film:
    """Return `count` pictures of 128 * scale by 64 * scale px."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.height, context.width = drawn(0, scale).shape
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", 1 / RATE, RATE
    context.options = {"tune": "zerolatency", "g": str(KEY_INTERVAL), "sc_threshold": "0", "x264-params": "slices=1"}
    coded = []
    for number in range(count):
        grey = np.repeat(drawn(number, scale)[:, :, None], 3, axis=2)
        frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
        frame.pts, frame.time_base = number, 1 / RATE
        coded += [list(_nal_units(bytes(packet))) for packet in context.encode(frame)]
    sets = {unit[0] & _TYPE: unit for unit in coded[0]}
    pictures = (tuple(unit for unit in units if unit[0] & _TYPE in (_SLICE, _KEY_SLICE)) for units in coded)
    return Film(sets[_SPS], sets[_PPS], tuple(pictures))


def _nal_units(stream: bytes) -> Iterator[bytes]:
    """Yield the units of a byte stream (annex B), which begin after 00 00 01."""
    return (part.rstrip(b"\0") for part in stream.split(b"\0\0\1") if part.rstrip(b"\0"))


def garbled(unit: bytes) -> bytes:
    """Return a NAL unit of the same type and length as `unit`, whose content no decoder can make a picture of."""
    return unit[:1] + bytes([0xFF]) * (len(unit) - 1)


def rtp_payloads(unit: bytes) -> Iterator[bytes]:
    """Yield `unit` as payloads: as it is, or cut into fragments (FU-A, section 5.8)."""
    if len(unit) <= LARGEST_PAYLOAD:
        yield unit
        return
    starts = range(1, len(unit), LARGEST_PAYLOAD)
    for start in starts:
        yield fragment(unit[0], unit[start : start + LARGEST_PAYLOAD], start == 1, start == starts[-1])


def fragment(first_byte: int, content: bytes, begins: bool, ends: bool) -> bytes:
    """Return a fragment of the NAL unit that begins with `first_byte`."""
    return bytes([first_byte & _HEAD | _FU_A, begins << 7 | ends << 6 | first_byte & _TYPE]) + content
