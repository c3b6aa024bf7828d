"""Reads a sequence of still images as a video."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial

import numpy as np

from streamdet.data.images import read_image
from streamdet.errors import InputError
from streamdet.types import VideoInfo
from streamdet.video.location import ImageFiles
from streamdet.video.picture import Picture

# Images have no timestamps: each is shown for this time, in s.
NOMINAL_PERIOD = Fraction(1, 30)


class ImageReader:
    """The `Reader` of the images of `location`; `damaged` counts those that cannot be decoded, which are skipped.

    Raises InputError when none can be decoded.
    """

    def __init__(self, location: ImageFiles) -> None:
        self.damaged = 0
        self._name, self._paths = location.name, location.paths
        self._stopped = threading.Event()
        first = next((image for path in location.paths if (image := read_image(path)) is not None), None)
        if first is None:
            raise InputError(
                f"expected images, but none of the {len(location.paths)} in {location.name} can be decoded"
            )
        height, width = first.shape[:2]
        self.info = VideoInfo(width, height, frame_rate=None, frame_count=len(location.paths), live=False)

    @property
    def warnings(self) -> list[str]:
        """One sentence about damaged images so far, if there are any."""
        if not self.damaged:
            return []
        return [f"{self._name} is damaged: {self.damaged} of {len(self._paths)} images could not be decoded"]

    def pictures(self) -> Iterator[Picture]:
        """Yield the images in order; that of file k, from 0, is shown at k times `NOMINAL_PERIOD`."""
        for pts, path in enumerate(self._paths):
            if self._stopped.is_set():
                return
            image = read_image(path)
            if image is None:
                self.damaged += 1
            else:
                yield Picture(pts, NOMINAL_PERIOD, partial(np.ascontiguousarray, image))

    def stop(self) -> None:
        """End `pictures` after the current image; may be called from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Do nothing: no file stays open between images."""
