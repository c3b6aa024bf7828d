"""Image files: decoded to arrays, and examined, on all cores, with the results kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.data.image_size import announced_size
from streamdet.errors import InputError
from streamdet.files import cache_folder, replacing
from streamdet.machine import core_count
from streamdet.options import MAX_PIXELS
from streamdet.types import UInt8Array

IMAGE_SUFFIXES = frozenset({".avif", ".bmp", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

_DEEP_SUFFIXES = frozenset({".pgm", ".png", ".tif", ".tiff"})  # formats that may have more than 8 bits

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"
_JPEG_SCAN = 0xDA
_JPEG_FILL = 0xFF

_Stamp = tuple[int, int]  # size in bytes, time of the last change in ns


class ImageFacts(NamedTuple):
    """The size of an image in px as displayed and a digest of size and pixels, or the `problem` of its file."""

    height_px: int = 0
    width_px: int = 0
    digest: str = ""
    problem: str | None = None

    @property
    def longer_px(self) -> int:
        """The longer side."""
        return max(self.height_px, self.width_px)


def examine(path: Path) -> ImageFacts:
    """Decode the image at `path` and return its facts; a file that cannot be used is a `problem`, not an error."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return ImageFacts(problem=f"cannot be read: {error.strerror}")
    # OpenCV fills the missing part of a file with grey, without an error.
    if not _is_complete(content):
        return ImageFacts(problem="ends early")
    if size := _excess(content, MAX_PIXELS):
        return ImageFacts(problem=f"has {size} px, more than {MAX_PIXELS:,}")
    pixels = _decode(content)
    if pixels is None:
        return ImageFacts(problem="cannot be decoded")
    height_px, width_px = pixels.shape[:2]
    digest = hashlib.blake2b(f"{height_px}x{width_px}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return ImageFacts(height_px, width_px, digest.hexdigest())


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> UInt8Array | None:
    """Return the image as uint8 (H, W, 3) RGB, rotated upright by its EXIF data; None if it cannot be decoded.

    Raises InputError, before anything is decoded, when the image announces more than `max_pixels`.
    """
    try:
        # On Windows cv2.imread opens only paths in the system's code page.
        content = path.read_bytes()
    except OSError:
        return None
    check_size(content, path, max_pixels)
    return _decode(content)


def read_grey16(path: Path) -> npt.NDArray[np.uint16] | None:
    """Return the image at `path` as uint16 (H, W) if it is grey and has 16 bits, None otherwise."""
    if path.suffix.lower() not in _DEEP_SUFFIXES:
        return None
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error):
        return None
    return np.asarray(image) if image is not None and image.ndim == 2 and image.dtype == np.uint16 else None


def check_size(content: bytes, path: Path, max_pixels: int) -> None:
    """Raise InputError when the image `content` of `path` announces more than `max_pixels`."""
    if size := _excess(content, max_pixels):
        raise InputError(f"expected an image of at most {max_pixels:,} pixels, but {path} has {size}")


def _excess(content: bytes, max_pixels: int) -> str | None:
    """Return the size that an image announces in px, None if it has at most `max_pixels` or tells nothing."""
    width_px, height_px = announced_size(content) or (0, 0)
    return f"{width_px}x{height_px}" if width_px * height_px > max_pixels else None


def _decode(content: bytes) -> UInt8Array | None:
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def _is_complete(content: bytes) -> bool:
    """Return whether a JPEG or PNG contains its end marker; True for other formats."""
    if content.startswith(_JPEG):
        # An end marker before the first scan may be that of a thumbnail.
        return content.find(_JPEG_END, _first_scan(content)) >= 0
    return _PNG_END in content if content.startswith(_PNG) else True


def _first_scan(content: bytes) -> int:
    """Return the position of the first scan of a JPEG, its length if there is none (ITU-T T.81, annex B.1.1)."""
    position = len(_JPEG)
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == _JPEG_SCAN:
            return position
        if marker == _JPEG_FILL:
            position += 1
        else:
            position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return len(content)


def examine_all(paths: Iterable[Path], name: Path, on_image: Callable[[], object] = lambda: None) -> list[ImageFacts]:
    """Return the facts of the images at `paths`, cached for the data set file `name`.

    An image is examined again when its file size or modification time changed. `on_image` is called after each image.
    """
    entry = _entry(name)
    known = _read(entry)

    def facts(path: Path) -> ImageFacts:
        stamp = _stamp(path)
        cached = known.get(str(path))
        if cached is None or cached[0] != stamp:
            cached = known[str(path)] = (stamp, examine(path))
        on_image()
        return cached[1]

    before = dict(known)
    with ThreadPoolExecutor(core_count()) as pool:
        found = list(pool.map(facts, (path.absolute() for path in paths)))
    if known != before:
        with suppress(OSError):
            _write(entry, known)
    return found


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _entry(name: Path) -> Path:
    """Return the cache file of a data set; its name includes a digest of this module, whose facts it holds."""
    key = hashlib.sha256(Path(__file__).read_bytes() + str(name.absolute()).encode())
    return cache_folder("datasets") / f"{key.hexdigest()[:32]}.json"


def _read(entry: Path) -> dict[str, tuple[_Stamp | None, ImageFacts]]:
    """Return the facts in a cache file, none when it is missing or damaged."""
    try:
        stored: dict[str, Any] = json.loads(entry.read_bytes())
        return {path: (tuple(stamp) if stamp else None, ImageFacts(*facts)) for path, (stamp, facts) in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(entry: Path, known: dict[str, tuple[_Stamp | None, ImageFacts]]) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with replacing(entry) as partial:
        partial.write_text(json.dumps(known))
