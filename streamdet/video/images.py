"""Reads a sequence of still images as a video."""

from __future__ import annotations

import configparser
import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from streamdet.data.images import image_or_problem, read_grey16
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

    They are shown at the rate of `options`, else at that of a ``seqinfo.ini`` in their folder or the one above, else
    at `NOMINAL_RATE`. Raises InputError when none can be decoded.
    """

    def __init__(self, location: ImageFiles, options: SourceOptions) -> None:
        self.damaged = 0
        self._name, self._paths, self._videos = location.name, location.paths, location.videos
        self._stopped = threading.Event()
        self._max_pixels, self._from_grey = options.max_pixels, LevelScaler(options.levels)
        height, width = self._first().shape[:2]
        rate = options.rate or _sequence_rate(location.paths[0].parent)
        self._period = 1 / (rate or NOMINAL_RATE)
        self.info = VideoInfo(width, height, rate, frame_count=len(location.paths), live=False)

    @property
    def warnings(self) -> list[str]:
        """One sentence each about damaged images so far, a rate that is not known, and videos beside the images."""
        texts = []
        if self.damaged:
            texts.append(f"{self._name} is damaged: {self.damaged} of {len(self._paths)} images could not be decoded")
        if self.info.frame_rate is None and len(self._paths) > 1:
            texts.append(f"the images of {self._name} are shown at {NOMINAL_RATE} Hz; --fps tells their true rate")
        if self._videos:
            texts.append(f"{self._name} holds {self._videos} videos beside its images, which are left out")
        return texts

    def pictures(self) -> Iterator[Picture]:
        """Yield the images in order; that of file k, from 0, is shown after k periods."""
        for pts, path in enumerate(self._paths):
            if self._stopped.is_set():
                return
            image = self._read(path)
            if isinstance(image, str):
                self.damaged += 1
            else:
                yield Picture(pts, self._period, partial(np.ascontiguousarray, image))

    def _first(self) -> UInt8Array:
        """Return the first image that can be decoded."""
        problems = []
        for path in self._paths:
            image = self._read(path)
            if not isinstance(image, str):
                return image
            problems.append(f"{path} {image}")
        raise InputError(f"expected images, but none of the {len(problems)} in {self._name} can be used: {problems[0]}")

    def _read(self, path: Path) -> UInt8Array | str:
        """Return the image, or in words why its file cannot be used."""
        image = image_or_problem(path, self._max_pixels)
        deep = None if isinstance(image, str) else read_grey16(path)
        return image if deep is None else self._from_grey(deep)

    def stop(self) -> None:
        """End `pictures` after the current image; may be called from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Do nothing: no file stays open between images."""


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
