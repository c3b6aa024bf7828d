"""Masks of tracks as MOTS takes them: multi-object tracking and segmentation (arXiv 1902.03604)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamdet.errors import InputError
from streamdet.masks import HALF
from streamdet.result import Result
from streamdet.sinks.added import coco_masks, run_lengths
from streamdet.sinks.header import TracksHeader
from streamdet.sinks.sink import TrackSink

_MOTS_CLASSES = {"car": 1, "person": 2, "pedestrian": 2}
_FIRST_OTHER = 11  # 10 is the region that is ignored


class MotsSink(TrackSink):
    """Rows of MOTS: frame (from 1), id, class, height and width of the image, run lengths of the mask.

    A pixel belongs to one object, of those that have it to the one of the highest score. A predicted track has no mask
    and no row, nor has one of which others leave no pixel. Cars are class 1 and persons 2; any other class is 11 and
    more, in the order of the model's classes. Raises MissingExtraError without pycocotools, and InputError for results
    of a model without masks.
    """

    task = "segment"

    def __init__(self, path: Path, header: TracksHeader | None = None) -> None:
        coco_masks()
        super().__init__(path, header)

    def _rows(self, result: Result) -> str:
        tracks, masks = result.tracks, result.detections.masks
        if masks is None:
            if len(result.detections):
                raise InputError("expected a model with masks for rows of MOTS, found one without")
            return ""
        seen = np.flatnonzero(tracks.detection_index >= 0)
        taken = np.zeros(masks.image_hw, bool)
        texts: dict[int, str] = {}
        height, width = masks.image_hw
        for row in seen[np.argsort(-tracks.scores[seen], kind="stable")].tolist():
            x, y, values = masks.patch(int(tracks.detection_index[row]))
            area = taken[y : y + values.shape[0], x : x + values.shape[1]]
            inside = (values >= HALF) & ~area
            if inside.any():
                area |= inside
                text = run_lengths(x, y, inside, masks.image_hw)["counts"]
                texts[row] = f"{tracks.ids[row]} {_class_number(result, row)} {height} {width} {text}"
        return "".join(f"{result.frame.index + 1} {texts[row]}\n" for row in sorted(texts))


def _class_number(result: Result, row: int) -> int:
    class_id = int(result.tracks.class_ids[row])
    return _MOTS_CLASSES.get(result.class_names[class_id].lower(), _FIRST_OTHER + class_id)
