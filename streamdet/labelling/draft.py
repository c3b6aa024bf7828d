"""Chooses the frames of a tracked video that are labelled, and the objects in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from streamdet.labelling.novelty import Novelty
from streamdet.result import Result
from streamdet.types import Float32Array, Int64Array, Tracks

TINY_PX = 2.0  # what is left of a box inside the image has at least such sides


class Draft(NamedTuple):
    """The labels of one frame: `class_ids` i64 (N,), `boxes` f32 (N, 4) xyxy in px, inside the image."""

    frame_index: int
    class_ids: Int64Array
    boxes: Float32Array

    def renumbered(self, class_ids: Sequence[int]) -> Draft:
        """Return the draft with each class id replaced by its place in `class_ids`."""
        places = {class_id: place for place, class_id in enumerate(class_ids)}
        renumbered = np.array([places[class_id] for class_id in self.class_ids.tolist()], np.int64)
        return self._replace(class_ids=renumbered)


def draft(
    results: Iterable[Result], every: int | Literal["auto"], conf: float, *, has_times: bool = True
) -> list[Draft]:
    """Return the labels of every `every`-th frame, or with "auto" of those that differ from the one before.

    A track is labelled in all frames, also where its score is low or its place was filled in, if its mean score over
    the video is at least `conf`. Without times, as in a folder of images, frames count as a second apart.
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
