"""What of objects is compared with their labels, and how: boxes, masks, key points, rotated boxes.

Each measure states objects in the way of pycocotools (extra ``train``), which matches them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from streamdet.data.shapes import Corners, KeyPoints, Shapes, rasterised
from streamdet.types import Detections, Float32Array, Float64Array
from trackers.rotated import rotated_iou

# Deviations of labels of the 17 key points of a person, in roots of its area (COCO, cocodataset.org/#keypoints-eval):
# nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
_PERSON_SIGMAS = (0.026, *[0.025] * 2, *[0.035] * 2, *[0.079] * 2, *[0.072] * 2, *[0.062] * 2)
_PERSON_SIGMAS += (*[0.107] * 2, *[0.087] * 2, *[0.089] * 2)
# The mean share of the box around a person that it fills; in the area of objects with key points stands for a mask.
_FILLED = 0.53

Facts = dict[str, Any]  # of one object, for pycocotools


class Measure(Protocol):
    """States objects with `facts` in the way of pycocotools, whose ``area`` decides what is small, medium and large."""

    kind: str  # of the evaluation, in the words of pycocotools

    def labelled(self, boxes: Float32Array, shapes: Shapes | None, image_hw: tuple[int, int]) -> Iterator[Facts]:
        """Yield the facts of labelled objects with `boxes` f32 (N, 4) xyxy and `shapes`, in px."""

    def detected(self, detections: Detections) -> Iterator[Facts]:
        """Yield the facts of each of the `detections`."""


class Boxes:
    """The intersection over union of boxes."""

    kind = "bbox"

    def labelled(self, boxes: Float32Array, shapes: Shapes | None, image_hw: tuple[int, int]) -> Iterator[Facts]:
        """See `Measure`."""
        for x1, y1, x2, y2 in boxes.tolist():
            yield {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}

    def detected(self, detections: Detections) -> Iterator[Facts]:
        """See `Measure`."""
        return self.labelled(detections.boxes, None, (0, 0))


class Masks:
    """The intersection over union of silhouettes in the pixels of the image."""

    kind = "segm"

    def labelled(self, boxes: Float32Array, shapes: Shapes | None, image_hw: tuple[int, int]) -> Iterator[Facts]:
        """See `Measure`."""
        assert shapes is not None
        return (self._facts(rasterised(ring, image_hw)) for ring in shapes)

    def detected(self, detections: Detections) -> Iterator[Facts]:
        """See `Measure`."""
        masks = detections.masks
        assert masks is not None
        return (self._facts(masks.to_image(row)) for row in range(len(masks)))

    def _facts(self, silhouette: npt.NDArray[np.bool_]) -> Facts:
        from pycocotools.mask import encode

        return {"segmentation": encode(np.asfortranarray(silhouette, np.uint8)), "area": int(silhouette.sum())}


class PointSimilarity:
    """The object key point similarity, with the deviations of `keypoint_sigmas`.

    The labels of poses state no masks: an object counts as large as 53 % of its box, as people are in COCO on average.
    Objects without labelled key points are neither missed nor found.
    """

    kind = "keypoints"

    def labelled(self, boxes: Float32Array, shapes: Shapes | None, image_hw: tuple[int, int]) -> Iterator[Facts]:
        """See `Measure`."""
        assert isinstance(shapes, KeyPoints)
        return map(self._facts, Boxes().labelled(boxes, None, image_hw), shapes.by_object())

    def detected(self, detections: Detections) -> Iterator[Facts]:
        """See `Measure`."""
        assert detections.keypoints is not None
        return map(self._facts, Boxes().detected(detections), detections.keypoints)

    def _facts(self, box: Facts, points: Float32Array) -> Facts:
        labelled = int((points[:, 2] > 0).sum())
        return box | {"area": _FILLED * box["area"], "keypoints": points.ravel().tolist(), "num_keypoints": labelled}


class RotatedBoxes:
    """The intersection over union of rotated rectangles, as polygons."""

    kind = "rotated"

    def labelled(self, boxes: Float32Array, shapes: Shapes | None, image_hw: tuple[int, int]) -> Iterator[Facts]:
        """See `Measure`."""
        assert isinstance(shapes, Corners)
        return map(self._facts, shapes.rotated())

    def detected(self, detections: Detections) -> Iterator[Facts]:
        """See `Measure`."""
        assert detections.rotated is not None
        return map(self._facts, detections.rotated)

    def _facts(self, rotated: Float32Array) -> Facts:
        return {"rotated": rotated.tolist(), "area": float(rotated[2] * rotated[3])}


MEASURES: Mapping[str, Measure] = {
    "boxes": Boxes(),
    "masks": Masks(),
    "keypoints": PointSimilarity(),
    "rotated": RotatedBoxes(),
}
# By the task of a model: the names of its measures.
TASK_MEASURES: Mapping[str, tuple[str, ...]] = {
    "detect": ("boxes",),
    "segment": ("boxes", "masks"),
    "pose": ("boxes", "keypoints"),
    "obb": ("rotated",),
}


def keypoint_sigmas(count: int) -> tuple[float, ...]:
    """Return the deviation of each of `count` key points: COCO's for the 17 of a person, otherwise 1 / `count`."""
    return _PERSON_SIGMAS if count == len(_PERSON_SIGMAS) else (1 / max(count, 1),) * count


def evaluation(measure: Measure, truths: Any, detections: Any, keypoints: int) -> Any:
    """Return a ``COCOeval`` of two ``pycocotools.coco.COCO`` by `measure`, for objects of so many key points."""
    from pycocotools.cocoeval import COCOeval

    if measure.kind == "rotated":
        return _rotated_evaluation()(truths, detections, "bbox")
    found = COCOeval(truths, detections, measure.kind)
    if measure.kind == "keypoints":
        found.params.kpt_oks_sigmas = np.array(keypoint_sigmas(keypoints))
    return found


@cache
def _rotated_evaluation() -> Any:
    from pycocotools.cocoeval import COCOeval

    class RotatedEvaluation(COCOeval):  # type: ignore[misc]
        """COCO's evaluation with the overlap of rotated boxes."""

        def computeIoU(self, image_id: int, class_id: int) -> Any:  # noqa: N802
            truths, found = self._gts[image_id, class_id], self._dts[image_id, class_id]
            if not truths and not found:
                return []
            order = np.argsort([-each["score"] for each in found], kind="mergesort")[: self.params.maxDets[-1]]
            rows, others = (
                np.array([each["rotated"] for each in objects], float).reshape(-1, 5)
                for objects in ([found[index] for index in order], truths)
            )
            return rotated_ious(rows, others)

    return RotatedEvaluation


def rotated_ious(rotated: Float64Array, others: Float64Array) -> Float64Array:
    """Return the intersection over union (N, M) of rotated boxes (N, 5) and (M, 5), as in `streamdet.types`."""
    count = len(rotated), len(others)
    return rotated_iou(rotated.repeat(count[1], axis=0), np.tile(others, (count[0], 1))).reshape(count)
