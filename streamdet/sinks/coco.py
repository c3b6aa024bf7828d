"""Tracks as results of detection in the format of COCO."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from streamdet.result import Result
from streamdet.sinks.added import added_values, run_lengths
from streamdet.sinks.sink import TrackSink

# COCO labels 80 of the 90 categories that it numbered.
_NOT_LABELLED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
_COCO_IDS = [number for number in range(1, 91) if number not in _NOT_LABELLED]


class CocoSink(TrackSink):
    """A list of boxes: image_id, category_id, bbox (left, top, width, height in px), score, track_id, and by the task:

    - segmentation: run lengths, those of no pixel for a predicted track.
    - keypoints: x, y in px and visibility of one after the other, in one list.
    - rotated: centre x, y, width, height in px, angle in rad.

    The id of an image is the number of the frame, from 1. Categories count from 1 in the order of the model's classes;
    the 80 classes of COCO have COCO's own numbers, up to 90. The file is valid JSON after each frame.
    """

    end = "\n]\n"
    _has_boxes = False

    def _head(self) -> str:
        return "["

    def _rows(self, result: Result) -> str:
        tracks, image_id, numbers = result.tracks, result.frame.index + 1, category_ids(result.class_names)
        columns = tracks.ids.tolist(), tracks.boxes.tolist(), tracks.scores.tolist(), tracks.class_ids.tolist()
        boxes = [
            {
                "image_id": image_id,
                "category_id": numbers[class_id],
                "bbox": [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)],
                "score": round(score, 4),
                "track_id": track_id,
            }
            | _in_coco(added, result.frame.image.shape[:2])
            for track_id, (x1, y1, x2, y2), score, class_id, added in zip(*columns, added_values(result), strict=True)
        ]
        text = ",".join(f"\n{json.dumps(box)}" for box in boxes)
        separator = "," if text and self._has_boxes else ""
        self._has_boxes = self._has_boxes or bool(boxes)
        return separator + text


def _in_coco(added: dict[str, Any], image_hw: tuple[int, int]) -> dict[str, Any]:
    """Return the `added_values` of a track by the names of COCO."""
    values: dict[str, Any] = {}
    if "mask" in added:
        values["segmentation"] = added["mask"] or run_lengths(0, 0, np.zeros((0, 0), bool), image_hw)
    if "keypoints" in added:
        values["keypoints"] = [value for point in added["keypoints"] for value in point]
    if "rotated" in added:
        values["rotated"] = added["rotated"]
    return values


def category_ids(class_names: Sequence[str]) -> Sequence[int]:
    """Return the number of each class: COCO's own for the classes of COCO, else its place, from 1."""
    is_coco = len(class_names) == len(_COCO_IDS) and (class_names[0], class_names[-1]) == ("person", "toothbrush")
    return _COCO_IDS if is_coco else range(1, len(class_names) + 1)
