"""The meaning of a model's output, for each task that models are trained for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np

from streamdet.boxes import ROTATED, Selection
from streamdet.errors import InputError
from streamdet.inference.session import Found, ModelCard
from streamdet.letterbox import CenterCrop, Letterbox
from streamdet.masks import Masks, cell_windows
from streamdet.options import IMAGE_SIZE_PX
from streamdet.types import Detections, Float32Array, Int64Array, UInt8Array

CLASSIFIER_SIZE_PX = 224  # of the images that the published classifiers are trained on
Output = TypeVar("Output", Float32Array, Found)


class Task(Protocol[Output]):
    """Selects what a model found in an image, and converts it.

    - `size_px`: the size of the input unless the user states another.
    - `fits`: how images are fitted into the input, see `Letterbox.fit`.
    """

    size_px: int
    fits: type[Letterbox]

    def kept(self, found: Output, select: Selection) -> Output:
        """Return the rows f32 (N, 6 + E), best first, that `select` keeps of all rows f32 (A, 6 + E) of an image.

        The task defines which rows are candidates, and the overlap of two rows.
        """

    def detections(
        self, found: Output, letterbox: Letterbox, image_hw: tuple[int, int], class_names: Sequence[str] = ()
    ) -> Detections:
        """Return what was kept, in model px, as detections in an image of `image_hw` px."""


class DetectTask:
    """Axis-aligned boxes: rows are x1, y1, x2, y2 in model px, the best score and its class id; overlap is the IoU."""

    size_px = IMAGE_SIZE_PX
    fits: type[Letterbox] = Letterbox

    def kept(self, found: Float32Array, select: Selection) -> Float32Array:
        """See `Task`."""
        return select.kept(found)

    def detections(
        self, found: Float32Array, letterbox: Letterbox, image_hw: tuple[int, int], class_names: Sequence[str] = ()
    ) -> Detections:
        """See `Task`."""
        boxes, scores = letterbox.to_image(found[:, :4], image_hw), found[:, 4].clip(0, 1)
        return Detections(boxes, scores, found[:, 5].astype(np.int64), class_names)


class PoseTask(DetectTask):
    """Boxes with key points: behind each row ``x, y, visibility`` of its points, of two numbers without visibility."""

    def __init__(self, kpt_shape: tuple[int, int]) -> None:
        self._kpt_shape = kpt_shape

    def detections(
        self, found: Float32Array, letterbox: Letterbox, image_hw: tuple[int, int], class_names: Sequence[str] = ()
    ) -> Detections:
        """See `Task`."""
        points = found[:, 6:].reshape(len(found), *self._kpt_shape)
        visible = points[:, :, 2:].clip(0, 1) if points.shape[2] == 3 else np.ones((*points.shape[:2], 1))
        keypoints = np.concatenate([letterbox.places(points[:, :, :2]), visible], axis=2)
        return replace(super().detections(found, letterbox, image_hw, class_names), keypoints=keypoints)


class RotatedTask(DetectTask):
    """Boxes that are turned around their centres by an angle in rad, the last number of a row; overlap is the ProbIoU.

    Each rectangle is stated by the one of its angles that lies in [0, pi / 2).
    """

    def kept(self, found: Float32Array, select: Selection) -> Float32Array:
        """See `Task`."""
        return select.kept(found, ROTATED)

    def detections(
        self, found: Float32Array, letterbox: Letterbox, image_hw: tuple[int, int], class_names: Sequence[str] = ()
    ) -> Detections:
        """See `Task`."""
        places = letterbox.places(found[:, :4])
        centers, sizes = (places[:, :2] + places[:, 2:]) / 2, places[:, 2:] - places[:, :2]
        angles = found[:, 6] % np.float32(np.pi)
        # A quarter turn exchanges width and height.
        turned = angles >= np.float32(np.pi / 2)
        sizes[turned], angles[turned] = sizes[turned, ::-1], angles[turned] - np.float32(np.pi / 2)
        cos, sin = np.cos(angles), np.sin(angles)
        # The box that encloses it reaches as far as its corners: w |cos| + h |sin|, and w |sin| + h |cos|.
        reach = sizes * cos[:, None] + sizes[:, ::-1] * sin[:, None]
        height, width = image_hw
        corners = np.concatenate([centers - reach / 2, centers + reach / 2], axis=1)
        boxes = corners.clip(0, np.array([width, height] * 2, np.float32))
        rotated = np.column_stack([centers, sizes, angles])
        scores, class_ids = found[:, 4].clip(0, 1), found[:, 5].astype(np.int64)
        return Detections(boxes, scores, class_ids, class_names, rotated=rotated)


class SegmentTask:
    """Boxes with silhouettes: behind each row is how much of each prototype of the image its mask has.

    A mask is computed for rows that are kept, at the size of the prototypes (YOLACT, arXiv 1904.02689, eq. 1).
    """

    size_px = IMAGE_SIZE_PX
    fits: type[Letterbox] = Letterbox
    _boxes = DetectTask()

    def kept(self, found: Found, select: Selection) -> Found:
        """See `Task`."""
        return Found(self._boxes.kept(found.rows, select), found.prototypes)

    def detections(
        self, found: Found, letterbox: Letterbox, image_hw: tuple[int, int], class_names: Sequence[str] = ()
    ) -> Detections:
        """See `Task`."""
        detections = self._boxes.detections(found.rows, letterbox, image_hw, class_names)
        height, width = letterbox.input_hw
        region = letterbox.places(np.array([0, 0, width, height], np.float32))
        windows = cell_windows(detections.boxes, region, found.prototypes.shape[1:])
        values = mask_values(found.rows[:, 6:], found.prototypes, windows)
        return replace(detections, masks=Masks(values, detections.boxes, region, image_hw))


def mask_values(coefficients: Float32Array, prototypes: Float32Array, windows: Int64Array) -> UInt8Array:
    """Return masks u8 (N, h, w), 255 times their probability, of `coefficients` (N, M) of `prototypes` (M, h, w).

    They are 0 outside of their `windows` (N, 4): first column and row, and ends.
    """
    values = np.zeros((len(coefficients), *prototypes.shape[1:]), np.uint8)
    for grid, weights, (x1, y1, x2, y2) in zip(values, coefficients, windows.tolist(), strict=True):
        logits = np.tensordot(weights, prototypes[:, y1:y2, x1:x2], 1)
        # 255 sigma(x) = 127.5 (1 + tanh(x / 2))
        grid[y1:y2, x1:x2] = np.rint(127.5 * np.tanh(logits / 2) + 127.5)
    return values


class ClassifyTask:
    """Probabilities f32 (C,) of the classes of the square in the middle of an image; there are no boxes."""

    size_px = CLASSIFIER_SIZE_PX
    fits: type[Letterbox] = CenterCrop

    def kept(self, found: Float32Array, select: Selection) -> Float32Array:
        """Return all: a threshold is for boxes."""
        return found

    def detections(
        self, found: Float32Array, letterbox: Letterbox, image_hw: tuple[int, int], class_names: Sequence[str] = ()
    ) -> Detections:
        """See `Task`."""
        return Detections(np.zeros((0, 4)), [], [], class_names, probabilities=found.clip(0, 1))


_TASKS: Mapping[str, Callable[[], Task[Any]]] = {
    "detect": DetectTask,
    "segment": SegmentTask,
    "obb": RotatedTask,
    "classify": ClassifyTask,
}


def task_from(card: ModelCard) -> Task[Any]:
    """Return the task that a model with this `card` is for; raises InputError for one that finds nothing in images."""
    if card.task == "pose" and card.kpt_shape is not None:
        return PoseTask(card.kpt_shape)
    if card.task not in _TASKS:
        raise InputError(f"expected a model that detects, found one for the task {card.task!r}")
    return _TASKS[card.task]()
