"""Reads an image file that holds several pictures, such as animated WebP, PNG or AVIF, as a video."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median_low

import cv2
import numpy as np

from streamdet.data.image_header import HEAD_BYTES, announced_hw, is_animated, size_problem
from streamdet.errors import InputError
from streamdet.types import UInt8Array, VideoInfo
from streamdet.video.picture import Picture

_TIME_BASE = Fraction(1, 1000)
_AT_ONCE = 16  # pictures in memory
_SHORTEST_MS = 10  # an animation may ask for 0

Timed = tuple[int, UInt8Array]  # a picture, (H, W, 3) or (H, W, 4) in OpenCV's order, and for how many ms it is shown


class AnimationReader:
    """The `Reader` of the pictures in the image file at `path`, each of which is shown for as long as the file says.

    Raises InputError when none can be decoded, or they have more than `max_pixels`.
    """

    def __init__(self, path: Path, name: str, max_pixels: int) -> None:
        self.damaged = 0
        self.warnings: list[str] = []
        self._stopped = threading.Event()
        self._content = _read(path, name)
        height, width = announced_hw(self._content.tobytes()) or (0, 0)
        if problem := size_problem(width, height, max_pixels):
            raise InputError(f"expected an image that can be decoded, but {name} {problem}")
        head = _decode(self._content, 0)
        if not head:
            raise InputError(f"expected an image, but {name} cannot be decoded")
        height, width = head[0][1].shape[:2]
        rate = 1 / (median_low(duration for duration, _ in head) * _TIME_BASE)
        self.info = VideoInfo(width, height, rate, None, live=False)
        self._head = head

    def pictures(self) -> Iterator[Picture]:
        """Yield the pictures in order."""
        pts = 0
        for duration, image in chain(self._head, self._rest()):
            if self._stopped.is_set():
                return
            yield Picture(pts, _TIME_BASE, partial(_to_rgb, image))
            pts += duration

    def stop(self) -> None:
        """End `pictures` after the current one; may be called from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Do nothing: the file is closed already."""

    def _rest(self) -> Iterator[Timed]:
        start = len(self._head)
        while start % _AT_ONCE == 0 and (found := _decode(self._content, start)):
            yield from found
            start += len(found)


def is_animation(path: Path) -> bool:
    """Return whether the file at `path` holds pictures that follow each other in time."""
    try:
        with path.open("rb") as file:
            return is_animated(file.read(HEAD_BYTES))
    except OSError:  # whoever reads the file tells why
        return False


def _read(path: Path, name: str) -> UInt8Array:
    try:
        return np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"expected an image, but {name} cannot be read: {error.strerror}") from error


def _decode(content: UInt8Array, start: int) -> list[Timed]:
    """Return the pictures from number `start` on, at most `_AT_ONCE`; none after the last."""
    try:
        _, found = cv2.imdecodeanimation(content, start, _AT_ONCE)
    except cv2.error:
        return []
    durations = [max(int(each), _SHORTEST_MS) for each in found.durations]
    return list(zip(durations, (np.asarray(frame, np.uint8) for frame in found.frames), strict=True))


def _to_rgb(image: UInt8Array) -> UInt8Array:
    code = cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(image, code), np.uint8)
