"""Estimation of the camera's motion from frame to frame, which runs a method only while the camera moves.

A thumbnail of each frame shows at little cost whether the background has moved. Only then a `Method` (`methods`)
estimates the motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from streamdet.camera_motion.view import (
    THUMBNAIL_SIDE_PX,
    Thumbnail,
    View,
    block_shifts,
    pixel_size,
    reduced_hw,
    rescaled,
    share_improved,
)
from streamdet.types import Arrays, Float32Array, Float64Array, UInt8Array, state_array

MOVING_FROM_PX = 0.15  # median shift of the blocks, in px of the thumbnail, from which on the camera moves
MIN_BLOCKS = 4  # with texture; fewer represent too little of the image
MIN_SHARE_IMPROVED = 0.55  # of the blocks, which must agree better after the motion; by chance a half do


class Method(Protocol):
    """A method that estimates the motion between two views."""

    @property
    def longer_side_px(self) -> int:
        """Return the longest side of the views that `between` takes."""

    def between(self, before: View, after: View) -> Float64Array | None:
        """Return the affine f64 (2, 3) from `before` to `after`, in px of the views, None if none is found."""


@dataclass(frozen=True, slots=True, eq=False)
class KeyFrame:
    """The thumbnail and the view of a past frame, whose image had a height and width of `image_hw` px."""

    image_hw: tuple[int, int]
    thumbnail: Thumbnail
    view: View

    def state(self) -> Arrays:
        """Return the key frame as arrays by name, for `from_state`."""
        return {
            "image_hw": np.array(self.image_hw, np.int64),
            "texture": self.thumbnail.texture,
            "still": self.thumbnail.background,
            "grey": self.view.grey,
            "background": self.view.background,
        }

    @classmethod
    def from_state(cls, state: Arrays) -> Self:
        """Return the key frame that returned `state`; raises ValueError for arrays that are missing or do not fit."""
        height_px, width_px = state_array(state, "image_hw", np.int64, (2,)).tolist()
        image_hw = (height_px, width_px)
        small_hw = reduced_hw(image_hw, THUMBNAIL_SIDE_PX)
        texture, still = (state_array(state, name, np.float32, small_hw) for name in ("texture", "still"))
        grey = state_array(state, "grey", np.uint8, (None, None))
        background = state_array(state, "background", np.uint8, grey.shape)
        thumbnail = Thumbnail(texture, still, pixel_size(image_hw, texture))
        return cls(image_hw, thumbnail, View(grey, background, pixel_size(image_hw, grey)))


class CameraMotion:
    """An estimator that applies a `method` between the key frame and the present frame.

    The key frame is the last frame at which the camera moved. As long as the background has not moved since, the
    estimate is the identity; then it is all the motion since the key frame. So a slow drift is reported about a pixel
    late, but it is not lost.
    """

    def __init__(self, method: Method) -> None:
        self._method = method
        self._key: KeyFrame | None = None

    def estimate(self, image: UInt8Array, boxes: Float32Array) -> Float64Array:
        """Return the affine f64 (2, 3), in px, from the last image to this one.

        `image` is uint8 (H, W, 3) RGB; `boxes` (N, 4) x1, y1, x2, y2 in px are those of objects, which may move on
        their own. The identity is returned for the first image, for one of another size, and if no motion is found
        that most of the background follows.
        """
        height_px, width_px = image.shape[:2]
        key = self._key if self._key is not None and self._key.image_hw == (height_px, width_px) else None
        thumbnail = Thumbnail.from_image(image, boxes)
        if key is not None and _is_static(block_shifts(key.thumbnail, thumbnail)):
            return np.eye(2, 3)
        view = View.from_image(image, boxes, self._method.longer_side_px)
        self._key = KeyFrame((height_px, width_px), thumbnail, view)
        return np.eye(2, 3) if key is None else self._motion(key, self._key)

    @property
    def key(self) -> KeyFrame | None:
        """The key frame, which is the whole state; None before the first image."""
        return self._key

    def restore(self, key: KeyFrame | None) -> None:
        """Continue from `key`; a key frame for a method with views of another size is ignored."""
        fits = key and key.view.grey.shape == reduced_hw(key.image_hw, self._method.longer_side_px)
        self._key = key if fits else None

    def _motion(self, before: KeyFrame, after: KeyFrame) -> Float64Array:
        """Return the motion between two key frames in px of the image, the identity if none is found."""
        motion = self._method.between(before.view, after.view)
        if motion is None:
            return np.eye(2, 3)
        motion = rescaled(motion, after.view.scale)
        # A method may have followed one large object; then the motion does not improve most of the blocks.
        confirmed = share_improved(before.thumbnail, after.thumbnail, motion) > MIN_SHARE_IMPROVED
        return motion if confirmed else np.eye(2, 3)


def _is_static(shifts_px: Float32Array) -> bool:
    """Return whether the camera has not moved, given the shifts (K,) of blocks.

    The median is robust against objects that move, which shift only some of the blocks. With too few textured blocks
    the camera counts as moving.
    """
    return len(shifts_px) >= MIN_BLOCKS and bool(np.median(shifts_px) < MOVING_FROM_PX)
