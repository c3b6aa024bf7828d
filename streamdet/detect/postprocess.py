"""Turns the rows of a model's head into Detections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamdet.detect.nms import nms
from streamdet.errors import InputError, closest
from streamdet.geometry import Letterbox
from streamdet.types import Detections, Float32Array

# More rows than this above the threshold mean a threshold near 0; the pairwise overlaps of 4096 rows take 64 MiB.
_MAX_CANDIDATES = 4096


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows become detections.

    Scores at least `conf`; greedy NMS at `iou`, among all classes when `agnostic`; only `class_ids` when given; the
    best `max_det`. Raises InputError when a value is out of range.
    """

    conf: float = 0.25
    iou: float = 0.7
    max_det: int = 300
    agnostic: bool = False
    class_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name, value in (("conf", self.conf), ("iou", self.iou)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} must be between 0 and 1, got {value}")
        if self.max_det < 1:
            raise InputError(f"max_det must be at least 1, got {self.max_det}")

    def __call__(self, rows: Float32Array, letterbox: Letterbox, image_hw: tuple[int, int]) -> Detections:
        """Return those of `rows` f32 (A, 6), see `kept`, that become detections."""
        return detections_of(self.kept(rows), letterbox, image_hw)

    def kept(self, rows: Float32Array) -> Float32Array:
        """Return the rows f32 (N, 6) to keep of `rows` f32 (A, 6): xyxy in model px, score, class id; best first."""
        rows = rows[rows[:, 4] >= self.conf]
        if self.class_ids is not None:
            rows = rows[np.isin(rows[:, 5], self.class_ids)]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")[:_MAX_CANDIDATES]]
        keep = nms(rows[:, :4], None if self.agnostic else rows[:, 5], self.iou)
        kept: Float32Array = rows[keep][: self.max_det]
        return kept


def detections_of(rows: Float32Array, letterbox: Letterbox, image_hw: tuple[int, int]) -> Detections:
    """Return `rows` f32 (N, 6), xyxy in model px, score, class id, as detections in an image of `image_hw` px."""
    return Detections(letterbox.to_image(rows[:, :4], image_hw), rows[:, 4].clip(0, 1), rows[:, 5].astype(np.int64))


def class_ids_of(names: list[str], class_names: tuple[str, ...]) -> tuple[int, ...]:
    """Return the ids of classes given by name or number; raises InputError naming the nearest known class."""
    known = {name: index for index, name in enumerate(class_names)}
    known |= {str(index): index for index in range(len(class_names))}
    for name in names:
        if name not in known:
            raise InputError(f"the model has no class {name!r}{closest(name, list(class_names))}")
    return tuple(known[name] for name in names)
