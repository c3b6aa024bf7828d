"""Image files: decoded to arrays, and examined, on all cores, with the results kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.data import heif, image_header, tiff
from streamdet.data.heif import HEIC_SUFFIXES, decode_avif, decode_heic, is_avif, is_cut_off, is_heic
from streamdet.data.image_header import JPEG_SCAN, announced_hw, jpeg_segments, size_problem
from streamdet.errors import InputError, shown
from streamdet.files import cache_folder, replacing, user_path
from streamdet.machine import core_count
from streamdet.options import MAX_PIXELS, Order
from streamdet.pixels import rgb_image
from streamdet.types import UInt8Array

IMAGE_SUFFIXES = HEIC_SUFFIXES | {
    *(".avif", ".bmp", ".j2k", ".jp2", ".jpeg", ".jpg", ".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm"),
    *(".tif", ".tiff", ".webp"),
}
# The largest image without compression, in 4 channels of 16 bits.
MAX_FILE_BYTES = 8 * MAX_PIXELS

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"

_PNG_GREY16 = b"\x10\x00"  # depth and colour type, the bytes 24 and 25 of a PNG
_DEEP = (b"II", b"MM", b"P2", b"P5")  # TIFF and PGM, which may have more than 8 bits
_FLOATS = (b"PF", b"Pf")  # PFM, which OpenCV would round to black

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


def is_image_file(path: Path) -> bool:
    """Return whether the name of a file is that of an image; ``._a.jpg`` is what macOS writes beside ``a.jpg``."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("._")


def examine(path: Path) -> ImageFacts:
    """Decode the image at `path` and return its facts; a file that cannot be used is a `problem`, not an error."""
    pixels = image_or_problem(path)
    if isinstance(pixels, str):
        return ImageFacts(problem=pixels)
    height_px, width_px = pixels.shape[:2]
    digest = hashlib.blake2b(f"{height_px}x{width_px}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return ImageFacts(height_px, width_px, digest.hexdigest())


def read_image(path: Path) -> UInt8Array | None:
    """Return the image as uint8 (H, W, 3) RGB, rotated upright by its EXIF data; None if it cannot be used.

    That is a file that cannot be read or decoded, ends early, or announces more than `MAX_PIXELS`. Raises
    MissingExtraError for a HEIC without the library that decodes it.
    """
    pixels = image_or_problem(path)
    return None if isinstance(pixels, str) else pixels


def to_image(given: Any, order: Order = "rgb") -> UInt8Array:
    """Return `given`, the path of an image file or what `rgb_image` converts, as uint8 (H, W, 3) RGB.

    Raises InputError for a file that cannot be used, and as `rgb_image` does.
    """
    if not isinstance(given, str | os.PathLike):
        return rgb_image(given, order)
    path = user_path(os.fspath(given))
    image = image_or_problem(path)
    if isinstance(image, str):
        raise InputError(f"expected an image, but {shown(str(path))} {image.lower()}")
    return image


def image_or_problem(path: Path, max_pixels: int = MAX_PIXELS) -> UInt8Array | str:
    """Return the image as `read_image` does, or in words why its file cannot be used."""
    content = file_content(path)
    return content if isinstance(content, str) else decoded_or_problem(content, max_pixels)


def file_content(path: Path) -> bytes | str:
    """Return the content of the file at `path`, or in words why it cannot be that of an image."""
    try:
        # On Windows cv2.imread opens only paths in the system's code page.
        status = path.stat()
        if not S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            return f"is no file of at most {MAX_FILE_BYTES // 1_000_000} MB"
        return path.read_bytes() or "is empty"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path, which a list may state
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def decoded_or_problem(content: bytes | bytearray, max_pixels: int = MAX_PIXELS) -> UInt8Array | str:
    """Return the (first) image in the `content` of a file as `read_image` does, or in words why it cannot be used."""
    # OpenCV fills the missing part of a file with grey, without an error.
    if not _is_complete(content):
        return "ends early"
    height_px, width_px = announced_hw(content) or (0, 0)
    if problem := size_problem(width_px, height_px, max_pixels):
        return problem
    image = _decoded(content)
    return "cannot be decoded" if image is None else image


def grey16(content: bytes | bytearray) -> npt.NDArray[np.uint16] | None:
    """Return the (first) image in the `content` of a file as uint16 (H, W) if it is grey of 16 bits, None otherwise."""
    if content.startswith(_PNG):
        if content[24:26] != _PNG_GREY16:
            return None  # most PNGs, which would be decoded a second time only to learn that
    elif not content.startswith(_DEEP):
        return None
    image = _opencv(content, cv2.IMREAD_UNCHANGED)
    return image if image is not None and image.ndim == 2 and image.dtype == np.uint16 else None


def _decoded(content: bytes | bytearray) -> UInt8Array | None:
    if is_heic(content):
        return decode_heic(content)
    if is_avif(content):
        return decode_avif(content)
    image = None if content.startswith(_FLOATS) else _opencv(content, cv2.IMREAD_COLOR_RGB)
    return _from_floats(content) if image is None else image


def _from_floats(content: bytes | bytearray) -> UInt8Array | None:
    """Return an image of floats, of which 0 is black and 1 white, None if the `content` is none."""
    image = _opencv(content, cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.float32:
        return None
    try:
        return rgb_image(image[:, :, ::-1] if image.ndim == 3 else image)
    except InputError:  # values of another range, whose black and white are not known
        return None


def _opencv(content: bytes | bytearray, flags: int) -> npt.NDArray[Any] | None:
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image)


def _is_complete(content: bytes | bytearray) -> bool:
    """Return whether a JPEG or PNG contains its end marker, and a HEIF file its data; True for other formats."""
    if content.startswith(_JPEG):
        # An end marker before the first scan may be that of a thumbnail.
        scan = next((position for marker, position in jpeg_segments(content) if marker == JPEG_SCAN), len(content))
        return content.find(_JPEG_END, scan) >= 0
    return _PNG_END in content if content.startswith(_PNG) else not is_cut_off(content)


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
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _entry(name: Path) -> Path:
    """Return the cache file of a data set; its name includes a digest of the modules whose facts it holds."""
    code = (Path(module).read_bytes() for module in (__file__, image_header.__file__, heif.__file__, tiff.__file__))
    key = hashlib.sha256(b"".join(code) + os.fsencode(name.absolute()))
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
