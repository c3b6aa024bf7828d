"""How much of a video is whole when its end could not be written, as on a full disk: strict readers refuse the rest."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO

_SEGMENT = 0x18538067  # Matroska's element that holds all others: RFC 9559, section 5.1


def complete_length(path: Path, container: str) -> int:
    """Return the length in bytes of the file up to its last complete part; `container` is FFmpeg's name of its format.

    A part is a fragment of MP4 and MOV, a cluster of Matroska and WebM, and a chunk of AVI.
    """
    with path.open("rb") as file:
        available = file.seek(0, io.SEEK_END)
        return _LENGTHS[container](file, available)


def _iso_length(file: BinaryIO, available: int) -> int:
    """Return where the last complete fragment ends (ISO/IEC 14496-12).

    A fragment is a 'moof' box, which says what is in it, and the 'mdat' box behind it, which holds it.
    """
    end = complete = 0
    while file.seek(end) + 16 <= available:
        size, kind, long_size = struct.unpack(">I4sQ", file.read(16))
        size = long_size if size == 1 else size
        if size < 8 or end + size > available:
            break
        end += size
        complete = complete if kind == b"moof" else end
    return complete


def _matroska_length(file: BinaryIO, available: int) -> int:
    """Return where the last complete element of the segment ends: a cluster, or one of the header."""
    end = 0
    while file.seek(end) < available:
        kind, kind_length = _ebml_number(file)
        marked, size_length = _ebml_number(file)
        size = 0 if kind == _SEGMENT else marked & ((1 << 7 * size_length) - 1)
        following = end + kind_length + size_length + size
        if not size_length or following > available:
            break
        end = following
    return end


def _ebml_number(file: BinaryIO) -> tuple[int, int]:
    """Return a number of variable length with its marker bit, and its length in bytes (RFC 8794, section 4)."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, 0
    length = 9 - first[0].bit_length()
    return int.from_bytes(first + file.read(length - 1), "big"), length


def _avi_length(file: BinaryIO, available: int) -> int:
    """Return where the last complete chunk ends; what holds the chunks of the streams is entered."""
    end = 0
    while file.seek(end) + 12 <= available:
        kind, size, inner = struct.unpack("<4sI4s", file.read(12))
        holds_chunks = kind == b"RIFF" or inner == b"movi"
        following = end + 12 if holds_chunks else end + 8 + size + size % 2
        if following > available:
            break
        end = following
    return end


_LENGTHS = {
    "mp4": _iso_length,
    "mov": _iso_length,
    "matroska": _matroska_length,
    "webm": _matroska_length,
    "avi": _avi_length,
}
