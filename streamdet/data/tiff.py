"""The pages of a TIFF or BigTIFF: where each begins, and the size that it announces (TIFF 6.0, section 2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_ORDERS = {b"II": "<", b"MM": ">"}
_BIG = 43  # the version of a BigTIFF
_KIND, _WIDTH, _HEIGHT = 254, 256, 257
_NO_PICTURE = 1 | 4  # bits of the kind: a smaller copy of another page, and a mask
_SHORT = 3
# What a crafted file could exceed: entries of a directory, and directories.
_MOST_ENTRIES = _MOST_PAGES = 1 << 16


class TiffPage(NamedTuple):
    """A page whose directory begins at byte `start`."""

    start: int
    height_px: int
    width_px: int


class _Layout(NamedTuple):
    """Struct codes of an offset and of the number of entries, where the first offset stands, and bytes of an entry."""

    order: str
    offset: str
    number: str
    first: int
    entry_bytes: int


def tiff_pages(content: bytes | bytearray) -> Iterator[TiffPage]:
    """Yield the pages, without smaller copies of them and masks; none if `content` is no TIFF, or as it is broken."""
    layout = _layout(content)
    if layout is None:
        return
    seen = {0}  # which stands for no further page
    try:
        (start,) = struct.unpack_from(layout.order + layout.offset, content, layout.first)
        while start not in seen and len(seen) <= _MOST_PAGES:
            seen.add(start)
            values, following = _directory(content, layout, start)
            if not values.get(_KIND, 0) & _NO_PICTURE:
                yield TiffPage(start, values[_HEIGHT], values[_WIDTH])
            start = following
    except (struct.error, OverflowError, KeyError):
        return


def begin_with(page: TiffPage, content: bytearray) -> None:
    """Change the header of `content` so that `page` is the first, which is what decoders read."""
    if layout := _layout(content):
        struct.pack_into(layout.order + layout.offset, content, layout.first, page.start)


def _layout(content: bytes | bytearray) -> _Layout | None:
    order = _ORDERS.get(bytes(content[:2]))
    if order is None or len(content) < 16:
        return None
    is_big = struct.unpack_from(f"{order}H", content, 2)[0] == _BIG
    return _Layout(order, "Q", "Q", 8, 20) if is_big else _Layout(order, "I", "H", 4, 12)


def _directory(content: bytes | bytearray, layout: _Layout, start: int) -> tuple[dict[int, int], int]:
    """Return kind and size of the page whose directory is at `start`, by tag, and where the next directory is."""
    order, offset, number, _, entry_bytes = layout
    (count,) = struct.unpack_from(order + number, content, start)
    first = start + struct.calcsize(order + number)
    values = {}
    for place in range(first, first + min(count, _MOST_ENTRIES) * entry_bytes, entry_bytes):
        tag, type_code = struct.unpack_from(f"{order}HH", content, place)
        if tag in (_KIND, _WIDTH, _HEIGHT):
            value = place + entry_bytes - struct.calcsize(order + offset)
            (values[tag],) = struct.unpack_from(order + ("H" if type_code == _SHORT else "I"), content, value)
    end = first + count * entry_bytes
    # A file may end with its last directory.
    return values, struct.unpack_from(order + offset, content, end)[0] if end + 4 <= len(content) else 0
