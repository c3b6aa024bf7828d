"""The size that an image file announces, read without decoding it."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

Size = tuple[int, int]  # width and height in px

_PNM = re.compile(rb"P[1-7](?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)")
# Markers of a JPEG that begin a frame: ITU-T T.81, table B.1.
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_FILL = 0xFF
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_SHORT = 256, 257, 3


def announced_size(content: bytes) -> Size | None:
    """Return width and height in px as stored, None for a format that is not known or a damaged header.

    Known are PNG, JPEG, BMP, WebP, TIFF, JPEG 2000 and the PNM family.
    """
    for head, read in _READERS.items():
        if content.startswith(head):
            try:
                return read(content)
            except struct.error:  # cut off
                return None
    return _pnm(content)


def _png(content: bytes) -> Size:
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def _jpeg(content: bytes) -> Size | None:
    position = 2
    while content[position : position + 1] == b"\xff":
        marker, length = struct.unpack_from(">BH", content, position + 1)
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, position + 5)
            return width, height
        position += 1 if marker == _JPEG_FILL else 2 + length
    return None


def _bmp(content: bytes) -> Size:
    width, height = struct.unpack_from("<ii", content, 18)
    return abs(width), abs(height)


def _webp(content: bytes) -> Size | None:
    """Read the first chunk: RFC 9649, sections 2.5 to 2.7."""
    kind = content[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        low, middle, high = struct.unpack_from("<HHH", content, 24)
        return (low | (middle & 0xFF) << 16) + 1, (middle >> 8 | high << 8) + 1
    return None


def _tiff(content: bytes) -> Size | None:
    """Read the first directory: TIFF 6.0, section 2."""
    order = "<" if content.startswith(b"II") else ">"
    (directory,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, directory)
    found = {}
    for k in range(count):
        tag, kind = struct.unpack_from(f"{order}HH", content, directory + 2 + 12 * k)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT):
            value = "H" if kind == _TIFF_SHORT else "I"
            (found[tag],) = struct.unpack_from(order + value, content, directory + 2 + 12 * k + 8)
    return (found[_TIFF_WIDTH], found[_TIFF_HEIGHT]) if len(found) == 2 else None


def _jp2(content: bytes) -> Size | None:
    """Read the size marker of the code stream: ITU-T T.800, section A.5.1."""
    start = content.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", content, start + 8)
    return right - left, bottom - top


def _pnm(content: bytes) -> Size | None:
    found = _PNM.match(content)
    return (int(found[1]), int(found[2])) if found and len(found[0]) < 1000 else None


_READERS: dict[bytes, Callable[[bytes], Size | None]] = {
    b"\x89PNG": _png,
    b"\xff\xd8": _jpeg,
    b"BM": _bmp,
    b"RIFF": _webp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"\0\0\0\x0cjP": _jp2,
    b"\xff\x4f\xff\x51": _jp2,
}
