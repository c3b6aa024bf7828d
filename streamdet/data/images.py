"""What an image file holds: its size, a digest of its pixels, or why it cannot be used."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from streamdet.types import UInt8Array

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"
_JPEG_SCAN = 0xDA


class ImageFacts(NamedTuple):
    """Height and width in px as displayed, and a digest that only equal pixels share; or what the `problem` is."""

    height_px: int = 0
    width_px: int = 0
    digest: str = ""
    problem: str | None = None

    @property
    def longer_px(self) -> int:
        """The longer side."""
        return max(self.height_px, self.width_px)


def examine(path: Path) -> ImageFacts:
    """Decode the image at `path` and return what it holds."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return ImageFacts(problem=f"cannot be read: {error.strerror}")
    # OpenCV fills what is missing with grey and says nothing.
    if not _is_complete(content):
        return ImageFacts(problem="ends early")
    pixels = _decode(content)
    if pixels is None:
        return ImageFacts(problem="cannot be decoded")
    height_px, width_px = pixels.shape[:2]
    digest = hashlib.blake2b(f"{height_px}x{width_px}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return ImageFacts(height_px, width_px, digest.hexdigest())


def read_image(path: Path) -> UInt8Array | None:
    """Return the image as uint8 (H, W, 3) RGB, turned upright as its EXIF data says; None if it cannot be decoded."""
    try:
        return _decode(path.read_bytes())
    except OSError:
        return None


def _decode(content: bytes) -> UInt8Array | None:
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def _is_complete(content: bytes) -> bool:
    """Return whether a JPEG or PNG has its end; other formats are not looked into."""
    if content.startswith(_JPEG):
        # Before the first scan an end may be that of a thumbnail.
        return content.find(_JPEG_END, _first_scan(content)) >= 0
    return _PNG_END in content if content.startswith(_PNG) else True


def _first_scan(content: bytes) -> int:
    """Return where the first scan of a JPEG begins, its length if there is none (ITU-T T.81, annex B.1.1)."""
    position = len(_JPEG)
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == _JPEG_SCAN:
            return position
        if marker == 0xFF:  # a fill byte
            position += 1
        else:
            position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return len(content)
