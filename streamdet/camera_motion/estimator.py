"""How the camera moved from frame to frame, at a cost only while it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from streamdet.camera_motion.view import (
    LONGER_SIDE_PX,
    FloatArray,
    Thumbnail,
    View,
    block_shifts,
    pixel_size,
    reduced_hw,
    rescaled,
    share_nearer,
)
from streamdet.types import Arrays, Float32Array, UInt8Array, remembered

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


@dataclass(frozen=True, slots=True, eq=False)
class KeyFrame:
    """An image of `image_hw` px, reduced: as it is compared with others, and as a method sees it."""

    image_hw: tuple[int, int]
    thumbnail: Thumbnail
    view: View

    def state(self) -> Arrays:
        """Return the key frame as arrays by name."""
        return {
            "image_hw": np.array(self.image_hw, np.int64),
            "texture": self.thumbnail.texture,
            "still": self.thumbnail.background,
            "grey": self.view.grey,
            "background": self.view.background,
        }

    @classmethod
    def restored(cls, state: Arrays) -> Self:
        """Return the key frame that gave `state`; raises ValueError for what none gives."""
        height_px, width_px = remembered(state, "image_hw", np.int64, (2,)).tolist()
        image_hw = (height_px, width_px)
        small_hw = reduced_hw(image_hw, LONGER_SIDE_PX)
        texture, still = (remembered(state, name, np.float32, small_hw) for name in ("texture", "still"))
        grey = remembered(state, "grey", np.uint8, (None, None))
        background = remembered(state, "background", np.uint8, grey.shape)
        thumbnail = Thumbnail(texture, still, pixel_size(image_hw, texture))
        return cls(image_hw, thumbnail, View(grey, background, pixel_size(image_hw, grey)))


class CameraMotion:
    """Applies a `method` between the last frame at which the camera moved, the key frame, and this one.

    Until the background has left its place in the key frame, the answer is the identity. All motion since the key frame
    then comes in one piece: a slow drift is late by about a pixel, and does not get lost.
    """

    def __init__(self, method: Method) -> None:
        self._method = method
        self._key: KeyFrame | None = None

    def estimate(self, image: UInt8Array, boxes: Float32Array) -> FloatArray:
        """Return the affine f64 (2, 3), in px, that leads from the last image to this one.

        `image` is uint8 (H, W, 3) RGB; `boxes` (N, 4) x1, y1, x2, y2 in px are where things may move on their own. It
        is the identity for a first image, for one of another size, and where no motion is found that most of the
        background follows.
        """
        height_px, width_px = image.shape[:2]
        key = self._key if self._key is not None and self._key.image_hw == (height_px, width_px) else None
        thumbnail = Thumbnail.of(image, boxes)
        if key is not None and _stands(block_shifts(key.thumbnail, thumbnail)):
            return np.eye(2, 3)
        view = View.of(image, boxes, self._method.longer_side_px)
        self._key = KeyFrame((height_px, width_px), thumbnail, view)
        return np.eye(2, 3) if key is None else self._moved(key, self._key)

    @property
    def key(self) -> KeyFrame | None:
        """The key frame, None before the first image: all that is remembered."""
        return self._key

    def restore(self, key: KeyFrame | None) -> None:
        """Go on from `key`; one for a method with views of another size is left out."""
        fits = key and key.view.grey.shape == reduced_hw(key.image_hw, self._method.longer_side_px)
        self._key = key if fits else None

    def _moved(self, before: KeyFrame, after: KeyFrame) -> FloatArray:
        """Return the motion between two key frames in px of the image."""
        motion = self._method.between(before.view, after.view)
        if motion is None:
            return np.eye(2, 3)
        motion = rescaled(motion, after.view.scale)
        # A method may have followed one large object; the blocks tell.
        followed = share_nearer(before.thumbnail, after.thumbnail, motion) > MIN_SHARE_NEARER
        return motion if followed else np.eye(2, 3)


def _stands(shifts_px: Float32Array) -> bool:
    """Return whether the camera has not moved: what moves on its own shifts its blocks only, not the median one.

    Without texture nothing tells, and the answer is no.
    """
    return len(shifts_px) >= MIN_BLOCKS and bool(np.median(shifts_px) < MOVING_FROM_PX)
