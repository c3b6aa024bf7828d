"""Reads a sequence of still images, or the pages of a TIFF, as a video."""

from __future__ import annotations

import configparser
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from streamdet.data.heif import HEIC_SUFFIXES, heic_library
from streamdet.data.image_header import holds_several
from streamdet.data.images import decoded_or_problem, file_content, grey16
from streamdet.data.tiff import TiffPage, begin_with, tiff_pages
from streamdet.errors import InputError
from streamdet.options import SourceOptions
from streamdet.types import UInt8Array, VideoInfo
from streamdet.video.levels import LevelScaler
from streamdet.video.location import ImageFiles
from streamdet.video.picture import Picture

# Images have no timestamps: they are shown at this rate, in Hz, unless a rate is known.
NOMINAL_RATE = Fraction(30)


class ImageReader:
    """The `Reader` of the images of `location`; `damaged` counts those that cannot be decoded, which are skipped.

    Of several files each is one image; a TIFF alone gives its pages. They are shown at the rate of `options`, else at
    that of a ``seqinfo.ini`` in their folder or the one above, else at `NOMINAL_RATE`. Raises InputError when none can
    be decoded, MissingExtraError for a HEIC without the library that decodes it.
    """

    def __init__(self, location: ImageFiles, options: SourceOptions) -> None:
        self.damaged = 0
        self._name, self._videos = location.name, location.videos
        if any(path.suffix.lower() in HEIC_SUFFIXES for path in location.paths):
            heic_library()  # before the run begins, and not at the first of them
        self._images: Sequence[_File | _Page] = _pages(location.paths) or [_File(path) for path in location.paths]
        self._of_several = set[_File | _Page]()
        self._stopped = threading.Event()
        self._max_pixels, self._from_grey = options.max_pixels, LevelScaler(options.levels)
        height, width = self._first().shape[:2]
        rate = options.rate or _sequence_rate(location.paths[0].parent)
        self._period = 1 / (rate or NOMINAL_RATE)
        self.info = VideoInfo(width, height, rate, frame_count=len(self._images), live=False)

    @property
    def warnings(self) -> list[str]:
        """One sentence each about images that are damaged or left out, a rate that is not known, and videos beside."""
        texts, count = [], len(self._images)
        if self.damaged:
            texts.append(f"{self._name} is damaged: {self.damaged} of {count} images could not be decoded")
        if self.info.frame_rate is None and count > 1:
            texts.append(f"the images of {self._name} are shown at {NOMINAL_RATE} Hz; --fps tells their true rate")
        if self._of_several:
            many = len(self._of_several)
            texts.append(f"{many} files of {self._name} hold several images each, of which only the first is read")
        if self._videos:
            texts.append(f"{self._name} holds {self._videos} videos beside its images, which are left out")
        return texts

    def pictures(self) -> Iterator[Picture]:
        """Yield the images in order; image k, from 0, is shown after k periods."""
        for pts, each in enumerate(self._images):
            if self._stopped.is_set():
                return
            image = self._read(each)
            if isinstance(image, str):
                self.damaged += 1
            else:
                yield Picture(pts, self._period, partial(np.ascontiguousarray, image))

    def _first(self) -> UInt8Array:
        """Return the first image that can be decoded."""
        problems = []
        for each in self._images:
            image = self._read(each)
            if not isinstance(image, str):
                return image
            problems.append(f"{each} {image}")
        raise InputError(f"expected images, but none of the {len(problems)} in {self._name} can be used: {problems[0]}")

    def _read(self, source: _File | _Page) -> UInt8Array | str:
        """Return the image of `source`, or in words why it cannot be used."""
        content = source.content()
        if isinstance(content, str):
            return content
        image = decoded_or_problem(content, self._max_pixels)
        deep = None if isinstance(image, str) else grey16(content)
        if isinstance(source, _File) and holds_several(content):
            self._of_several.add(source)
        return image if deep is None else self._from_grey(deep)

    def stop(self) -> None:
        """End `pictures` after the current image; may be called from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Do nothing: no file stays open between images."""


@dataclass(frozen=True, slots=True)
class _File:
    """An image file."""

    path: Path

    def content(self) -> bytes | str:
        """Return what decoders read, or in words why that is not possible."""
        return file_content(self.path)

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True, eq=False)
class _Page:
    """A page of a TIFF, whose file is in memory, once for all pages."""

    path: Path
    number: int
    page: TiffPage
    file: bytearray

    def content(self) -> bytearray:
        """Return what decoders read: the file with this page as its first."""
        begin_with(self.page, self.file)
        return self.file

    def __str__(self) -> str:
        return f"page {self.number} of {self.path}"


def _pages(paths: Sequence[Path]) -> list[_Page]:
    """Return the pages of the file in `paths` if it is one TIFF of several, none otherwise."""
    content = file_content(paths[0]) if len(paths) == 1 else ""
    pages = [] if isinstance(content, str) else list(tiff_pages(content))
    if isinstance(content, str) or len(pages) < 2:
        return []
    file = bytearray(content)
    return [_Page(paths[0], number, page, file) for number, page in enumerate(pages, start=1)]


def _sequence_rate(folder: Path) -> Fraction | None:
    """Return the rate in Hz that a MOT sequence states in ``seqinfo.ini``, in `folder` or above; None without one."""
    for place in (folder, folder.absolute().parent):
        file = configparser.ConfigParser()
        try:
            file.read(place / "seqinfo.ini", encoding="utf-8-sig")
            rate = Fraction(file["Sequence"]["frameRate"]).limit_denominator(1001)
        except (KeyError, ValueError, OSError, configparser.Error):
            continue
        if 0 < rate <= 1000:
            return rate
    return None
