"""The size that an image file announces in its header, known before its pixels take memory."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import islice
from typing import Literal, NamedTuple

from streamdet.data.heif import heif_hw
from streamdet.data.tiff import tiff_pages
from streamdet.options import MAX_PIXELS

HEAD_BYTES = 4096
JPEG_SCAN = 0xDA
_JPEG_FILL = 0xFF
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers of the segments that state the size


class _Layout(NamedTuple):
    """A header with width `w` and height `h` at fixed places: each is the masked number there, plus `add`."""

    pattern: re.Pattern[bytes]
    order: Literal["big", "little"]
    mask: int = 0xFFFFFFFF
    add: int = 0


_LAYOUTS = (
    _Layout(re.compile(rb"\x89PNG.{8}IHDR(?P<w>.{4})(?P<h>.{4})", re.DOTALL), "big"),
    _Layout(re.compile(rb"RIFF.{4}WEBPVP8 .{10}(?P<w>..)(?P<h>..)", re.DOTALL), "little", 0x3FFF),
    _Layout(re.compile(rb"RIFF.{4}WEBPVP8X.{8}(?P<w>...)(?P<h>...)", re.DOTALL), "little", add=1),
    _Layout(re.compile(rb"BM.{12}\x0c\0\0\0(?P<w>..)(?P<h>..)", re.DOTALL), "little"),
    _Layout(re.compile(rb"BM.{16}(?P<w>.{4})(?P<h>.{4})", re.DOTALL), "little"),
    _Layout(re.compile(rb"GIF8[79]a(?P<w>..)(?P<h>..)", re.DOTALL), "little"),
    _Layout(re.compile(rb"\0\0\0\x0cjP  .{0,64}?ihdr(?P<h>.{4})(?P<w>.{4})", re.DOTALL), "big"),
    _Layout(re.compile(rb"\xff\x4f\xff\x51.{4}(?P<w>.{4})(?P<h>.{4})", re.DOTALL), "big"),
)
_WEBP_LOSSLESS = re.compile(rb"RIFF.{4}WEBPVP8L.{5}(?P<sides>.{4})", re.DOTALL)
_PORTABLE = re.compile(rb"P[1-6fF]\s+(?:#[^\n]*\s+)*(?P<w>\d{1,9})\s+(?P<h>\d{1,9})")


def size_problem(width_px: int, height_px: int, max_pixels: int = MAX_PIXELS) -> str | None:
    """Return what is wrong with an image of this size, None if it is not too large to decode.

    A file of some kB may announce an image that fills the memory.
    """
    if width_px * height_px <= max_pixels:
        return None
    return f"announces {width_px} x {height_px} px, more than {max_pixels:,}"


def announced_hw(content: bytes | bytearray) -> tuple[int, int] | None:
    """Return height and width in px in the header of a file, None if it states none or its format is not known."""
    for layout in _LAYOUTS:
        if found := layout.pattern.match(content):
            width, height = (_side(found[name], layout) for name in ("w", "h"))
            return height, width
    if found := _WEBP_LOSSLESS.match(content):
        sides = int.from_bytes(found["sides"], "little")
        return (sides >> 14 & 0x3FFF) + 1, (sides & 0x3FFF) + 1
    if found := _PORTABLE.match(content):
        return int(found["h"]), int(found["w"])
    for marker, position in jpeg_segments(content):
        if marker in _JPEG_SIZES and position + 9 <= len(content):
            return struct.unpack_from(">HH", content, position + 5)
    page = next(tiff_pages(content), None)
    return (page.height_px, page.width_px) if page else heif_hw(content)


def is_animated(content: bytes | bytearray) -> bool:
    """Return whether an image file holds pictures that follow each other in time; its first `HEAD_BYTES` suffice."""
    head = content[:HEAD_BYTES]
    # The chunk that announces an animation comes before all pictures: RFC 9649, section 2.7; PNG 3, section 11.3.
    if head.startswith(b"RIFF"):
        return b"ANIM" in head
    return b"acTL" in head if head.startswith(b"\x89PNG") else head[4:12] == b"ftypavis"


def holds_several(content: bytes | bytearray) -> bool:
    """Return whether an image file holds several pictures: it is animated, or a TIFF of several pages."""
    return is_animated(content) or next(islice(tiff_pages(content), 1, None), None) is not None


def jpeg_segments(content: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Yield marker and position of each segment of a JPEG up to its first scan (ITU-T T.81, annex B.1.1)."""
    position = 2
    while content.startswith(b"\xff\xd8") and position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == _JPEG_FILL:
            position += 1
            continue
        yield marker, position
        if marker == JPEG_SCAN:
            return
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")


def _side(stated: bytes, layout: _Layout) -> int:
    side = int.from_bytes(stated, layout.order) & layout.mask
    # The height of a BMP is negative when its first row is the upper one.
    return (side if side < 1 << 31 else (1 << 32) - side) + layout.add
