"""One labelled image on its way to the network, and how it is resized, joined and filtered."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.types import Float32Array, Int64Array, UInt8Array

GREY = 114  # of pixels that no image covers, as in letterboxing

# What is left of an object must be at least so large to be learned (YOLOv5's published filter): sides in px, area as a
# fraction of the area before.
_MIN_SIDE_PX = 2.0
_MIN_VISIBLE = 0.1


@dataclass(frozen=True, slots=True)
class Example:
    """`image` uint8 (H, W, 3) RGB with objects: `class_ids` i64 (N,), `boxes` f32 (N, 4) xyxy in px of the image."""

    image: UInt8Array
    class_ids: Int64Array
    boxes: Float32Array

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width in px."""
        height, width = self.image.shape[:2]
        return height, width

    def only(self, chosen: npt.NDArray[np.bool_]) -> Example:
        """Return the example with the `chosen` objects, bool (N,)."""
        return replace(self, class_ids=self.class_ids[chosen], boxes=self.boxes[chosen])

    def resized(self, size_px: int) -> Example:
        """Return the example with its longer side resized to `size_px`."""
        height, width = self.hw
        scale = size_px / max(height, width)
        if scale == 1:
            return self
        wh = (max(round(width * scale), 1), max(round(height * scale), 1))
        image = np.asarray(cv2.resize(self.image, wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))
        factors = np.array([wh[0] / width, wh[1] / height] * 2, np.float32)
        return Example(image.astype(np.uint8, copy=False), self.class_ids, self.boxes * factors)

    def clipped(self, areas_before: Float32Array | None = None) -> Example:
        """Return the example with boxes clipped to the image, without those of which too little is left.

        `areas_before` f32 (N,) in px^2 are the areas that clipping is compared with, else those of the boxes.
        """
        height, width = self.hw
        boxes = self.boxes.clip(0, np.array([width, height] * 2, np.float32))
        areas = area(self.boxes) if areas_before is None else areas_before
        sides = boxes[:, 2:] - boxes[:, :2]
        kept = (sides.min(1, initial=np.inf) >= _MIN_SIDE_PX) & (area(boxes) >= _MIN_VISIBLE * areas)
        return replace(self, boxes=boxes).only(kept)


def area(boxes: Float32Array) -> Float32Array:
    """Return the areas f32 (N,) of xyxy `boxes` (N, 4); 0 for what is turned inside out."""
    sides: Float32Array = (boxes[:, 2:] - boxes[:, :2]).clip(0)
    return sides[:, 0] * sides[:, 1]


def joined(image: UInt8Array, examples: list[Example]) -> Example:
    """Return one example with `image` and the objects of all `examples`."""
    return Example(image, np.concatenate([e.class_ids for e in examples]), np.concatenate([e.boxes for e in examples]))
