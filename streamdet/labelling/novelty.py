"""Which frames of a video are worth a label: those that show something that the last one did not."""

from __future__ import annotations

import cv2
import numpy as np

from streamdet.types import Float32Array, Tracks, UInt8Array

# Change, as a share of what is seen, times the time that it took in s: at most two frames a second are chosen.
LEAST_CHANGE_S = 0.5
# An object that overlaps its former place by less has moved.
LEAST_IOU = 0.5
# Mean difference of two small grey pictures from which on the scene itself is another.
LEAST_DIFFERENCE = 12.0
_THUMBNAIL_PX = (32, 32)


class Novelty:
    """Compares every frame with the last one that was chosen.

    Where all is new, frames half a second apart are chosen; where one object of ten moves, five seconds; where nothing
    changes, none.
    """

    def __init__(self) -> None:
        self._time_s = 0.0
        self._thumbnail: Float32Array | None = None
        self._boxes: dict[int, Float32Array] = {}

    def __call__(self, time_s: float, image: UInt8Array, tracks: Tracks) -> bool:
        """Return whether the frame `image` uint8 (H, W, 3), with `tracks` in it, is chosen; the first one is."""
        thumbnail = np.asarray(cv2.resize(image, _THUMBNAIL_PX, interpolation=cv2.INTER_AREA), np.float32).mean(2)
        boxes = dict(zip(tracks.ids.tolist(), tracks.boxes, strict=True))
        if self._thumbnail is not None:
            change = _moved_share(self._boxes, boxes)
            if np.abs(thumbnail - self._thumbnail).mean() > LEAST_DIFFERENCE:
                change = 1.0
            if change * (time_s - self._time_s) < LEAST_CHANGE_S:
                return False
        self._time_s, self._thumbnail, self._boxes = time_s, thumbnail, boxes
        return True


def _moved_share(before: dict[int, Float32Array], after: dict[int, Float32Array]) -> float:
    """Return the share of the objects in either frame, by id, that came, went or moved."""
    ids = before.keys() | after.keys()
    stayed = sum(_iou(before[key], after[key]) >= LEAST_IOU for key in before.keys() & after.keys())
    return (len(ids) - stayed) / max(len(ids), 1)


def _iou(a: Float32Array, b: Float32Array) -> float:
    sides = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0)
    areas = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()
    return float(sides.prod() / max(areas - sides.prod(), 1e-9))
