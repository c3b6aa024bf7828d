"""Runs a tracker over the detections of a whole sequence, or over some of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from trackers.mot import MotRows
from trackers.tracker import Tracker
from trackers.types import FloatArray, Tracks

INSIDE_SHARE = 0.99  # of all detections' centres: boxes reach beyond the image, and some centres lie there


def track_frames(
    tracker: Tracker,
    detections: MotRows,
    *,
    frames: Sequence[int] | None = None,
    camera_motion: FloatArray | None = None,
    image_size: tuple[float, float] | None = None,
    measured: bool = False,
) -> MotRows:
    """Return the tracks of `detections` that `tracker` finds in `frames`, under their frame numbers.

    `frames` are ascending numbers from 1, by default all up to the last detection. Those left out count as dropped:
    more time elapses, and the camera's motions add up; a frame without detections is a frame all the same.
    `camera_motion` (F, 2, 3) in px is what `trackers.mot.read_camera_motion` returns; the first frame takes none.
    `image_size` is width and height in px, outside which nobody is expected; None takes the area that the detections'
    centres fill, all but the outermost, which does as well (HOTA on MOT17 the same, unknown 0.2 less). With `measured`,
    the boxes are those of the detections and not the tracker's estimates, and where none supports a track it has no
    row: what `trackers.refine.refine` makes the most of. Raises ValueError when frames are out of order or beyond the
    camera motion.
    """
    last = int(detections.frames[-1]) if len(detections.frames) else 0
    numbers = list(range(1, last + 1) if frames is None else frames)
    _check(numbers, camera_motion)
    size = _inferred_size(detections.boxes) if image_size is None else image_size
    found: list[MotRows] = []
    for previous, frame in pairwise([0, *numbers]):
        first, last = np.searchsorted(detections.frames, [frame, frame + 1])
        present, begun = detections.select(slice(first, last)), bool(found)
        tracks = tracker.update(
            present.boxes,
            present.scores,
            present.class_ids,
            elapsed=frame - previous if begun else 1.0,
            camera_motion=composed(camera_motion[previous:frame]) if begun and camera_motion is not None else None,
            image_size=size,
        )
        found.append(_measured(frame, tracks, present) if measured else _estimated(frame, tracks))
    return MotRows.concatenate(found)


def _inferred_size(boxes: FloatArray) -> tuple[float, float]:
    """Return the width and height in px of the area that hardly any of `boxes` (N, 4) has its centre outside of."""
    if not len(boxes):
        return np.inf, np.inf
    width, height = np.quantile((boxes[:, :2] + boxes[:, 2:]) / 2, INSIDE_SHARE, axis=0)
    return float(width), float(height)


def _estimated(frame: int, tracks: Tracks) -> MotRows:
    return MotRows(np.full(len(tracks.ids), frame), tracks.ids, tracks.boxes, tracks.scores, tracks.class_ids)


def _measured(frame: int, tracks: Tracks, detections: MotRows) -> MotRows:
    supported = tracks.detection_index >= 0
    boxes = detections.boxes[tracks.detection_index[supported]]
    return _estimated(frame, tracks).select(supported)._replace(boxes=boxes)


def composed(affines: FloatArray) -> FloatArray:
    """Return the one affine (2, 3) that equals `affines` (K, 2, 3) applied one after the other, the first first."""
    total = np.eye(3)
    for affine in affines:
        total = np.vstack([affine, (0, 0, 1)]) @ total
    return total[:2]


def _check(frames: list[int], camera_motion: FloatArray | None) -> None:
    """Raise ValueError unless `frames` are ascending numbers from 1 that `camera_motion` reaches."""
    for previous, frame in pairwise([0, *frames]):
        if frame <= previous:
            raise ValueError(f"expected ascending frame numbers from 1, found {frame} after {previous}")
    if camera_motion is not None and frames and frames[-1] > len(camera_motion):
        raise ValueError(f"expected camera motion up to frame {frames[-1]}, found {len(camera_motion)} entries")
