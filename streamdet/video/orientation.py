"""How pictures are turned and mirrored before they are shown."""

from __future__ import annotations

from typing import NamedTuple

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type

from streamdet.types import UInt8Array

# Quarter turns counter-clockwise -> OpenCV's code.
_TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


class Orientation(NamedTuple):
    """What makes a stored picture upright: mirroring left and right first, then quarter turns counter-clockwise."""

    mirrored: bool = False
    turns: int = 0

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.turns % 2 == 1

    def apply(self, image: UInt8Array) -> UInt8Array:
        """Return `image`, (H, W, 3), upright and C-contiguous."""
        if self.mirrored:
            image = np.asarray(cv2.flip(image, 1), np.uint8)
        return np.ascontiguousarray(cv2.rotate(image, _TURNS[self.turns]) if self.turns else image)


STORED = Orientation()


def orientation(frame: av.VideoFrame) -> Orientation:
    """Return the orientation that the display matrix of `frame` asks for, rounded to quarter turns.

    The matrix maps (x, y) to (a x + c y, b x + d y): ISO/IEC 14496-12, section 8.3.2.
    """
    # frame.side_data would keep the container, which keeps the frame: pictures would stay until the next collection.
    data = SideDataContainer(frame).get(Type.DISPLAYMATRIX)  # type: ignore[call-arg]  # its stub is wrong
    if data is None:
        return STORED
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(float)
    mirrored = a * d - b * c < 0
    # Mirroring first negates the image of the x axis.
    x, y = (-a, -b) if mirrored else (a, b)
    return Orientation(bool(mirrored), -round(np.degrees(np.arctan2(y, x)) / 90) % 4)
