"""How the camera moved from frame to frame, at a cost only while it moves."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from streamdet.camera_motion.thumbnail import Thumbnail, block_shifts, share_nearer
from streamdet.camera_motion.view import FloatArray, View, rescaled
from streamdet.types import Float32Array, UInt8Array

MOVING_FROM_PX = 0.15  # of the thumbnail, in the median block
MIN_BLOCKS = 4  # with texture; fewer say too little about the whole image
MIN_SHARE_NEARER = 0.55  # of the blocks that must agree better once the motion is undone; by chance a half do


class Method(Protocol):
    """A way to find the motion between two views whose longer side has at most `longer_side_px`."""

    @property
    def longer_side_px(self) -> int:
        """Return the size of the views that `between` takes."""

    def between(self, before: View, after: View) -> FloatArray | None:
        """Return the affine (2, 3) that leads from `before` to `after`, in px of the views, None when not found."""


class CameraMotion:
    """Applies a `method` between the last frame at which the camera moved, the key frame, and this one.

    Until the background has left its place in the key frame, the answer is the identity. All motion since the key frame
    then comes in one piece: a slow drift is late by about a pixel, and does not get lost.
    """

    def __init__(self, method: Method) -> None:
        self._method = method
        self._image_size: tuple[int, ...] = ()
        self._key: tuple[Thumbnail, View] | None = None

    def estimate(self, image: UInt8Array, boxes: Float32Array) -> FloatArray:
        """Return the affine f64 (2, 3), in px, that leads from the last image to this one.

        `image` is uint8 (H, W, 3) RGB; `boxes` (N, 4) x1, y1, x2, y2 in px are where things may move on their own. It
        is the identity for a first image, for one of another size, and where no motion is found that most of the
        background follows.
        """
        if image.shape != self._image_size:
            self._image_size, self._key = image.shape, None
        thumbnail = Thumbnail.of(image, boxes)
        if self._key is not None and _stands(block_shifts(self._key[0], thumbnail)):
            return np.eye(2, 3)
        key, self._key = self._key, (thumbnail, View.of(image, boxes, self._method.longer_side_px))
        return np.eye(2, 3) if key is None else self._moved(key, self._key)

    def _moved(self, before: tuple[Thumbnail, View], after: tuple[Thumbnail, View]) -> FloatArray:
        """Return the motion between two key frames in px of the image."""
        motion = self._method.between(before[1], after[1])
        if motion is None:
            return np.eye(2, 3)
        motion = rescaled(motion, after[1].scale)
        # A method may have followed one large object; the blocks tell.
        followed = share_nearer(before[0], after[0], motion) > MIN_SHARE_NEARER
        return motion if followed else np.eye(2, 3)


def _stands(shifts_px: Float32Array) -> bool:
    """Return whether the camera has not moved: what moves on its own shifts its blocks only, not the median one.

    Without texture nothing tells, and the answer is no.
    """
    return len(shifts_px) >= MIN_BLOCKS and bool(np.median(shifts_px) < MOVING_FROM_PX)
