"""Reads images that the caller has as a video."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from streamdet.data.images import to_image
from streamdet.errors import InputError
from streamdet.options import Order, SourceOptions
from streamdet.types import UInt8Array, VideoInfo
from streamdet.video.images import NOMINAL_RATE
from streamdet.video.location import GivenImages
from streamdet.video.picture import Picture


class GivenReader:
    """The `Reader` of the images of `location`, which are shown at the rate of `options`, else at `NOMINAL_RATE`.

    They are copied, so that the caller may use an array again for the next image. An error of their iterator is raised
    as it is. Raises InputError where there is no image, and for what is none.
    """

    def __init__(self, location: GivenImages, options: SourceOptions) -> None:
        self.damaged = 0
        self._images = iter(location.images)
        self._first = next(self._images, None)
        if self._first is None:
            raise InputError(f"expected images, found none in an empty {type(location.images).__name__}")
        self._order: Order = options.order
        self._stopped = threading.Event()
        height, width = self._own(self._first).shape[:2]
        self._period = 1 / (options.rate or NOMINAL_RATE)
        self.info = VideoInfo(width, height, options.rate, location.count, live=False)

    @property
    def warnings(self) -> list[str]:
        """One sentence about a rate that is not known."""
        if self.info.frame_rate is not None or self.info.frame_count == 1:
            return []
        return [f"images are shown at {NOMINAL_RATE} Hz; fps tells their true rate"]

    def pictures(self) -> Iterator[Picture]:
        """Yield the images in order; image k, from 0, is shown after k periods."""
        for pts, image in enumerate(chain([self._first], self._images)):
            if self._stopped.is_set():
                return
            yield Picture(pts, self._period, partial(self._own, image))

    def _own(self, image: Any) -> UInt8Array:
        if isinstance(image, list | tuple):  # the rows of one image in lists would pass for many grey ones
            raise InputError(f"expected an image as an array (H, W, 3), found {type(image).__name__}")
        return np.array(to_image(image, self._order))

    def stop(self) -> None:
        """End `pictures` after the current image; may be called from any thread."""
        self._stopped.set()

    def close(self) -> None:
        """Do nothing: the images are the caller's."""
