"""Draft labels for a video, from its tracks: the choice of frames, and their labels.

A person corrects the drafts before a training uses them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np

from streamdet.boxes import box_iou
from streamdet.data.check import TINY_PX
from streamdet.data.labels import format_label
from streamdet.result import Result
from streamdet.types import Float32Array, Int64Array, Tracks, UInt8Array

# The share of changed objects times the time since the last chosen frame in s; where all change, two frames per second.
MIN_CHANGE_S = 0.5
# An object whose boxes overlap less than this has moved.
MIN_IOU = 0.5
# The mean difference of two grey thumbnails, in grey levels, above which the whole scene has changed.
SCENE_DIFFERENCE = 12.0

_THUMBNAIL_PX = (32, 32)


class Novelty:
    """Chooses frames that differ from the last chosen one.

    Where everything changes, frames are chosen every half second; where one of ten objects moves, every five seconds;
    where nothing changes, never.
    """

    def __init__(self) -> None:
        self._time_s = 0.0
        self._thumbnail: Float32Array | None = None
        self._boxes: dict[int, Float32Array] = {}

    def __call__(self, time_s: float, image: UInt8Array, tracks: Tracks) -> bool:
        """Return whether the frame `image` uint8 (H, W, 3) with `tracks` is chosen, as the first one always is."""
        thumbnail = np.asarray(cv2.resize(image, _THUMBNAIL_PX, interpolation=cv2.INTER_AREA), np.float32).mean(2)
        boxes = dict(zip(tracks.ids.tolist(), tracks.boxes, strict=True))
        if self._thumbnail is not None:
            change = _moved_share(self._boxes, boxes)
            if np.abs(thumbnail - self._thumbnail).mean() > SCENE_DIFFERENCE:
                change = 1.0
            if change * (time_s - self._time_s) < MIN_CHANGE_S:
                return False
        self._time_s, self._thumbnail, self._boxes = time_s, thumbnail, boxes
        return True


def _moved_share(before: dict[int, Float32Array], after: dict[int, Float32Array]) -> float:
    """Return the share of the objects, by id, that appeared, disappeared or moved."""
    ids = before.keys() | after.keys()
    common = sorted(before.keys() & after.keys())
    overlaps = [box_iou(before[track_id][None], after[track_id][None]).item() for track_id in common]
    unmoved = sum(overlap >= MIN_IOU for overlap in overlaps)
    return (len(ids) - unmoved) / max(len(ids), 1)


class Draft(NamedTuple):
    """The labels of one frame: `class_ids` i64 (N,), `boxes` f32 (N, 4) xyxy in px, inside the image."""

    frame_index: int
    class_ids: Int64Array
    boxes: Float32Array

    def renumbered(self, class_ids: Sequence[int]) -> Draft:
        """Return the draft with each class id replaced by its index in `class_ids`."""
        places = {class_id: place for place, class_id in enumerate(class_ids)}
        renumbered = np.array([places[class_id] for class_id in self.class_ids.tolist()], np.int64)
        return self._replace(class_ids=renumbered)

    def lines(self, image_hw: tuple[int, int]) -> list[str]:
        """Return the lines of a label file in YOLO format for the frame, of `image_hw` px."""
        pairs = zip(self.class_ids.tolist(), self.boxes, strict=True)
        return [format_label(class_id, box, image_hw) for class_id, box in pairs]


def draft(
    results: Iterable[Result], every: int | Literal["auto"], conf: float, *, has_times: bool = True
) -> list[Draft]:
    """Return the labels of every `every`-th frame, or with "auto" of the frames that `Novelty` chooses.

    A track whose mean score over the video is at least `conf` is labelled in all chosen frames, also where its score is
    lower or its box was filled in. Without times, as in a folder of images, frames count as one second apart.
    """
    novelty = Novelty()
    scores: dict[int, list[float]] = defaultdict(list)
    kept: list[tuple[int, tuple[int, int], Tracks]] = []
    for count, result in enumerate(results):
        frame, tracks = result.frame, result.tracks
        for track_id, score in zip(tracks.ids.tolist(), tracks.scores.tolist(), strict=True):
            scores[track_id].append(score)
        time_s = float(frame.time) if has_times else float(count)
        is_chosen = novelty(time_s, frame.image, tracks) if every == "auto" else frame.index % every == 0
        if is_chosen:
            kept.append((frame.index, frame.image.shape[:2], tracks))
    certain = [track_id for track_id, values in scores.items() if np.mean(values) >= conf]
    return [_labels(frame_index, image_hw, tracks, certain) for frame_index, image_hw, tracks in kept]


def _labels(frame_index: int, image_hw: tuple[int, int], tracks: Tracks, certain: list[int]) -> Draft:
    height, width = image_hw
    boxes = tracks.boxes.clip(0, np.array([width, height] * 2, np.float32))
    is_labelled = np.isin(tracks.ids, certain) & (boxes[:, 2:] - boxes[:, :2] >= TINY_PX).all(1)
    return Draft(frame_index, tracks.class_ids[is_labelled], boxes[is_labelled])
