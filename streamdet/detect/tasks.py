"""The meaning of a model's rows, for each task that models are trained for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from streamdet.boxes import Selection
from streamdet.letterbox import Letterbox
from streamdet.types import Detections, Float32Array


class Task(Protocol):
    """Selects the rows of a model that are detections, and converts them."""

    def kept(self, rows: Float32Array, select: Selection) -> Float32Array:
        """Return the rows f32 (N, 6 + E), best first, that `select` keeps of all `rows` f32 (A, 6 + E) of an image.

        The task defines which rows are candidates, and the overlap of two rows.
        """

    def detections(
        self, rows: Float32Array, letterbox: Letterbox, image_hw: tuple[int, int], class_names: Sequence[str] = ()
    ) -> Detections:
        """Return kept `rows` f32 (N, 6 + E), in model px, as detections in an image of `image_hw` px."""


class DetectTask:
    """Axis-aligned boxes: rows are x1, y1, x2, y2 in model px, the best score and its class id; overlap is the IoU."""

    def kept(self, rows: Float32Array, select: Selection) -> Float32Array:
        """See `Task`."""
        return select.kept(rows)

    def detections(
        self, rows: Float32Array, letterbox: Letterbox, image_hw: tuple[int, int], class_names: Sequence[str] = ()
    ) -> Detections:
        """See `Task`."""
        boxes, scores = letterbox.to_image(rows[:, :4], image_hw), rows[:, 4].clip(0, 1)
        return Detections(boxes, scores, rows[:, 5].astype(np.int64), class_names)


TASKS: Mapping[str, Task] = {"detect": DetectTask()}  # by the name that a model's card states
