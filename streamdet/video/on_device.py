"""Images that stay on the GPU that decoded them."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamdet.types import ToDevice, UInt8Array
from streamdet.video.picture import Picture

_SAME_COLOURS = 3  # of 255: what two ways of rounding make of one picture


class ImageMaker:
    """Makes an image of a picture, and one on the device that decoded it if `to_device` does.

    That has to prove itself on its first picture, which must look as the CPU converts it.
    """

    def __init__(self) -> None:
        self.to_device: ToDevice | None = None
        self._proven = False

    def __call__(self, picture: Picture) -> tuple[UInt8Array, Any]:
        """Return the image uint8 (H, W, 3) RGB on the host, and on the device, or None."""
        made = self.to_device(picture.planes) if self.to_device and picture.planes else None
        if made is None:
            return picture.to_rgb(), None
        if not self._proven:
            image = picture.to_rgb()
            if np.abs(image.astype(np.int16) - made[0]).max() > _SAME_COLOURS:
                self.to_device = None
                return image, None
            self._proven = True
        return made
