"""HEIC files, written for a test: what no library that the tests need can write."""

import re
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np

from streamdet.types import UInt8Array

COLOURS = ((220, 40, 30), (30, 200, 60), (20, 60, 210), (230, 220, 40))


def quarters(height: int, width: int) -> UInt8Array:
    """A picture of four colours: upper left, upper right, lower left, lower right."""
    rows, columns = np.arange(height) >= height // 2, np.arange(width) >= width // 2
    return np.asarray(np.asarray(COLOURS)[2 * rows[:, None] + columns], np.uint8)


def corners(image: UInt8Array) -> list[list[int]]:
    """The colours of a picture near its corners, in the order of `COLOURS`."""
    return [image[y, x].tolist() for y in (4, -5) for x in (4, -5)]


def heic(image: UInt8Array, *, tile: int = 0, turns: int = 0, mirrored: int | None = None) -> bytes:
    """Return `image` as a HEIC, in tiles of that many px as phones write it, to be turned and mirrored as asked."""
    height, width = image.shape[:2]
    tiles = [image]
    if tile:
        rows, columns = -(-height // tile), -(-width // tile)
        padded = np.pad(image, ((0, rows * tile - height), (0, columns * tile - width), (0, 0)), "edge")
        places = [(tile * row, tile * column) for row in range(rows) for column in range(columns)]
        tiles = [padded[y : y + tile, x : x + tile] for y, x in places]
    encoded = [_hevc(each) for each in tiles]
    properties = [box(b"hvcC", encoded[0][0]), ispe(*tiles[0].shape[:2])]
    of_tile, of_main = [1, 2], [1, 2]
    items = [(b"hvc1", data) for _, data in encoded]
    if tile:
        items.append((b"grid", struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)))
        properties.append(ispe(height, width))
        of_main = [3]
    if turns:
        properties.append(box(b"irot", bytes([turns])))
        of_main = [*of_main, len(properties)]
    if mirrored is not None:
        properties.append(box(b"imir", bytes([mirrored])))
        of_main = [*of_main, len(properties)]
    return _file(items, properties, [of_tile] * (len(items) - 1) + [of_main])


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def full_box(kind: bytes, content: bytes, version: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24) + content)


def ispe(height: int, width: int) -> bytes:
    return full_box(b"ispe", struct.pack(">II", width, height))


def _hevc(image: UInt8Array) -> tuple[bytes, bytes]:
    """Return the decoder's configuration (ISO/IEC 14496-15, section 8.3.2) and the only access unit of `image`."""
    encoder: Any = av.CodecContext.create("libx265", "w")
    encoder.height, encoder.width = image.shape[:2]
    encoder.pix_fmt, encoder.time_base = "yuv444p", Fraction(1)
    encoder.options = {"crf": "4", "x265-params": "log-level=none"}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format="yuv444p")
    frame.pts, frame.time_base = 0, Fraction(1)
    stream = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode()])
    units = [unit for unit in re.split(b"\0?\0\0\1", stream) if unit]
    parameters = [unit for unit in units if unit[0] >> 1 in (32, 33, 34)]  # VPS, SPS, PPS
    (sequence,) = (unit for unit in parameters if unit[0] >> 1 == 33)
    profile = sequence.replace(b"\0\0\3", b"\0\0")[3:15]
    head = b"\1" + profile + b"\xf0\0\xfc\xff\xf8\xf8\0\0\x0f" + bytes([len(parameters)])
    arrays = (struct.pack(">BHH", unit[0] >> 1, 1, len(unit)) + unit for unit in parameters)
    picture = (struct.pack(">I", len(unit)) + unit for unit in units if unit[0] >> 1 < 32)
    return head + b"".join(arrays), b"".join(picture)


def _file(items: list[tuple[bytes, bytes]], properties: list[bytes], associated: list[list[int]]) -> bytes:
    """Return a HEIF file (ISO/IEC 23008-12) whose last item is its picture, and is made of the others."""
    ids = range(1, len(items) + 1)
    entries = b"".join(
        full_box(b"infe", struct.pack(">HH4s", number, 0, kind) + b"\0", version=2)
        for number, (kind, _) in zip(ids, items, strict=True)
    )
    pairs = b"".join(
        struct.pack(">HB", number, len(indices)) + bytes(indices)
        for number, indices in zip(ids, associated, strict=True)
    )
    parts = [
        full_box(b"hdlr", struct.pack(">I4s12s", 0, b"pict", b"") + b"\0"),
        full_box(b"pitm", struct.pack(">H", len(items))),
        full_box(b"iinf", struct.pack(">H", len(items)) + entries),
        box(b"iprp", box(b"ipco", b"".join(properties)) + full_box(b"ipma", struct.pack(">I", len(items)) + pairs)),
    ]
    if len(items) > 1:
        made_of = struct.pack(f">HH{len(items) - 1}H", len(items), len(items) - 1, *ids[:-1])
        parts.append(full_box(b"iref", box(b"dimg", made_of)))
    ftyp = box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    # Where the items lie is part of what stands before them: written once for its length, once with its values.
    length = len(ftyp) + len(full_box(b"meta", b"".join([*parts, _iloc(items, 0)]))) + 8
    meta = full_box(b"meta", b"".join([*parts, _iloc(items, length)]))
    return ftyp + meta + box(b"mdat", b"".join(data for _, data in items))


def _iloc(items: list[tuple[bytes, bytes]], start: int) -> bytes:
    rows = b""
    for number, (_, data) in enumerate(items, start=1):
        rows += struct.pack(">HHHII", number, 0, 1, start, len(data))
        start += len(data)
    return full_box(b"iloc", b"\x44\x00" + struct.pack(">H", len(items)) + rows)
