"""Pictures in HEIF files (ISO/IEC 23008-12), which AVIF and HEIC are: their size, orientation and decoding."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any

import cv2
import numpy as np

from streamdet.errors import MissingExtraError
from streamdet.pixels import rgb_image
from streamdet.types import UInt8Array

HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
_AVIF = frozenset({b"avif", b"avis"})
_HEIF = _AVIF | {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
# Boxes that hold boxes -> bytes before the first of them (ISO/IEC 14496-12).
_HOLDING = {b"meta": 4, b"stsd": 8} | dict.fromkeys((b"iprp", b"ipco", b"moov", b"trak", b"mdia", b"minf", b"stbl"), 0)
_VISUAL_BYTES = 24  # in an entry of stsd before width and height
_DEPTH, _MOST_BOXES = 7, 1 << 16  # which a crafted file could exceed


def is_avif(content: bytes | bytearray) -> bool:
    """Return whether `content` is an AVIF, of one or several pictures."""
    return not _AVIF.isdisjoint(_brands(content))


def is_heic(content: bytes | bytearray) -> bool:
    """Return whether `content` is a HEIF file other than AVIF: that of a phone, for example."""
    return not is_avif(content) and not _HEIF.isdisjoint(_brands(content))


def is_tiled(content: bytes | bytearray) -> bool:
    """Return whether the HEIF picture with this head is made of tiles, each of which is a picture of its own."""
    return not _HEIF.isdisjoint(_brands(content)) and b"grid" in content


def heif_hw(content: bytes | bytearray) -> tuple[int, int] | None:
    """Return height and width of the largest picture in a HEIF file, None if it states none or is no HEIF file.

    The others are its tiles, its opacity and its thumbnails, or further pictures of one size.
    """
    if _HEIF.isdisjoint(_brands(content)):
        return None
    sizes = []
    for kind, start, end in _boxes(content):
        if kind == b"ispe" and end - start >= 12:
            width, height = struct.unpack_from(">II", content, start + 4)
            sizes.append((height, width))
        elif kind in (b"av01", b"hvc1", b"hev1") and end - start >= _VISUAL_BYTES + 4:
            width, height = struct.unpack_from(">HH", content, start + _VISUAL_BYTES)
            sizes.append((height, width))
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def is_cut_off(content: bytes | bytearray) -> bool:
    """Return whether a HEIF file ends before the data of its pictures do; decoders fill what is missing with grey."""
    start, end = 0, len(content)
    while start + 8 <= end and not _HEIF.isdisjoint(_brands(content)):
        kind, first, stop = _box_at(content, start, end)
        if not first <= stop <= end:
            return kind == b"mdat"  # anything else may have been appended by a camera
        start = stop
    return False


def upright(image: UInt8Array, content: bytes | bytearray) -> UInt8Array:
    """Return `image`, (H, W, 3) as stored in the HEIF file `content`, turned and mirrored as that file says.

    The turn comes first (ISO/IEC 23000-22, section 7.3.6.7). The pictures of a file that belong together share it.
    """
    asked = {kind: content[start] for kind, start, end in _boxes(content) if end > start}
    if b"irot" in asked:
        image = np.rot90(image, asked[b"irot"] & 3)
    if b"imir" in asked:
        image = np.flip(image, axis=asked[b"imir"] & 1)
    return np.ascontiguousarray(image)


def decode_avif(content: bytes | bytearray) -> UInt8Array | None:
    """Return the (first) picture of an AVIF as uint8 (H, W, 3) RGB, None if it cannot be decoded."""
    # Not in RGB: OpenCV 5.0 returns BGR all the same where a picture has opacity. And it turns by EXIF data alone.
    flags = cv2.IMREAD_COLOR_BGR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None
    return None if image is None else upright(np.asarray(image[:, :, ::-1], np.uint8), content)


def decode_heic(content: bytes | bytearray) -> UInt8Array | None:
    """Return the main picture of a HEIC as uint8 (H, W, 3) RGB, upright, None if it cannot be decoded.

    Raises MissingExtraError without pi-heif.
    """
    library = heic_library()
    try:
        # Through Pillow, which copies: an array would refer to memory that is freed with the opened file.
        return rgb_image(library.open_heif(bytes(content)).to_pillow())
    except Exception:  # of many kinds, also by the library's own faults: IndexError for a file without pictures
        return None


def heic_library() -> Any:
    """Return the library that decodes HEIC; raises MissingExtraError if it is not installed."""
    try:
        import pi_heif
    except ImportError:
        raise MissingExtraError("pi-heif", "heic") from None
    return pi_heif


def _brands(content: bytes | bytearray) -> set[bytes]:
    """Return the brands in the first box of a file: what it is, and what else it can be read as."""
    if content[4:8] != b"ftyp":
        return set()
    head = bytes(content[8 : min(int.from_bytes(content[:4], "big"), 256)])
    return {head[place : place + 4] for place in range(0, len(head), 4) if place != 4}


def _boxes(content: bytes | bytearray) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, begin and end of the content of each box of a file, those inside other boxes included."""
    return islice(_boxes_between(content, 0, len(content), _DEPTH), _MOST_BOXES)


def _boxes_between(content: bytes | bytearray, start: int, end: int, depth: int) -> Iterator[tuple[bytes, int, int]]:
    while start + 8 <= end:
        kind, first, stop = _box_at(content, start, end)
        if not first <= stop <= end:
            return
        yield kind, first, stop
        if kind in _HOLDING and depth > 1:
            yield from _boxes_between(content, first + _HOLDING[kind], stop, depth - 1)
        start = stop


def _box_at(content: bytes | bytearray, start: int, end: int) -> tuple[bytes, int, int]:
    """Return kind, begin and end of the content of the box at `start`; one of size 0 goes on to `end`."""
    size, head = int.from_bytes(content[start : start + 4], "big"), 8
    if size == 1:
        size, head = int.from_bytes(content[start + 8 : start + 16], "big"), 16
    return bytes(content[start + 4 : start + 8]), start + head, start + size if size else end
