"""Average precision of detections in labelled images, computed by pycocotools (extra ``train``)."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.data.dataset import LabelledImage
from streamdet.data.images import read_image
from streamdet.data.shapes import KeyPoints, Shapes
from streamdet.errors import InputError, MissingExtraError, StreamdetError
from streamdet.evaluate.measures import MEASURES, Facts, evaluation
from streamdet.types import Detections, Float32Array, Float64Array, Frame, Int64Array

SIZES_PX2 = {"small": 32.0**2, "medium": 96.0**2, "large": 1e10}  # COCO's upper limits of an object's area
RECALLS = np.linspace(0, 1, 101)  # at which the precision is evaluated
MAX_DETECTIONS = 300  # per class and image

_IOU50, _IOU75 = 0, 5  # indices of these thresholds in 0.5, 0.55 .. 0.95

_Objects = tuple[Int64Array, Float32Array, Iterable[Facts]]  # class ids (N,), scores (N,), facts of an image's objects

# Yields each frame with its detections.
DetectImage = Callable[[Iterable[Frame]], Iterator[tuple[Frame, Detections]]]


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """The labels of an image of `image_hw` px, and the detections in it.

    `truth_class_ids` i64 (N,) and `truth_boxes` f32 (N, 4) xyxy in px; `labelled` bool by class id: the classes that
    the image is labelled for. Objects and detections of other classes do not count. `truth_shapes` are in px, None if
    only boxes are labelled. `masks` are those of the detections, run-length encoded, after `packed`.
    """

    image_hw: tuple[int, int]
    truth_class_ids: Int64Array
    truth_boxes: Float32Array
    detections: Detections
    labelled: tuple[bool, ...]
    truth_shapes: Shapes | None = None
    masks: tuple[Facts, ...] | None = None

    def packed(self) -> ScoredImage:
        """Return the same with the masks of the detections encoded: thousands of images then fit in memory."""
        found = self.detections
        if found.masks is None:
            return self
        return replace(self, detections=replace(found, masks=None), masks=tuple(MEASURES["masks"].detected(found)))

    def found(self, by: str) -> Iterable[Facts]:
        """Return the facts of the detections by the measure of the name `by`."""
        return self.masks if by == "masks" and self.masks is not None else MEASURES[by].detected(self.detections)


@dataclass(frozen=True, slots=True)
class ClassScores:
    """The scores of one class in [0, 1], nan if it has no objects; `truths` is their number.

    `threshold` is the least detection score that gives the best F1 at IoU 0.5, with this `precision` and `recall`;
    `curve` f64 (101,) is the highest precision at IoU 0.5 with at least each of the `RECALLS`.
    """

    truths: int
    ap50_95: float
    ap50: float
    ap75: float
    precision: float
    recall: float
    threshold: float
    curve: Float64Array


@dataclass(frozen=True, slots=True)
class DetectionScores:
    """Mean average precision in [0, 1] over the classes with objects, nan if there are none; `by_size` is mAP50-95."""

    map50_95: float
    map50: float
    map75: float
    by_size: Mapping[str, float]
    by_class: Mapping[str, ClassScores]


def score_detections(
    images: Sequence[ScoredImage], class_names: Sequence[str], *, by_size: bool = True, by: str = "boxes"
) -> DetectionScores:
    """Return the scores of the detections in `images` by COCO's rules (arXiv 1405.0312).

    `by` is the name of one of the `MEASURES`: what is compared, and how. Up to 300 detections per class and image
    count. Without `by_size`, that mapping is empty and the call takes a quarter of the time. Raises MissingExtraError
    without pycocotools.
    """
    measure = MEASURES[by]
    labels = [
        (
            image.truth_class_ids,
            np.ones(len(image.truth_boxes), np.float32),
            measure.labelled(image.truth_boxes, image.truth_shapes, image.image_hw),
        )
        for image in images
    ]
    truths = _coco(images, class_names, labels)
    objects = [(each.detections.class_ids, each.detections.scores, each.found(by)) for each in images]
    detections = _coco(images, class_names, objects)
    sizes = SIZES_PX2 if by_size else {}
    labelled = (image.truth_shapes for image in images)
    keypoints = max((each.by_object().shape[1] for each in labelled if isinstance(each, KeyPoints)), default=0)
    evaluated = [
        _evaluate(evaluation(measure, truths, detections, keypoints), c, _labelled_for(images, c), sizes)
        for c in range(len(class_names))
    ]
    by_class = {name: _class_scores(each) for name, each in zip(class_names, evaluated, strict=True)}
    return DetectionScores(
        map50_95=_mean(scores.ap50_95 for scores in by_class.values()),
        map50=_mean(scores.ap50 for scores in by_class.values()),
        map75=_mean(scores.ap75 for scores in by_class.values()),
        by_size={
            size: _mean(_precision(each, area).mean() for each in evaluated) for area, size in enumerate(sizes, 1)
        },
        by_class=by_class,
    )


def _labelled_for(images: Sequence[ScoredImage], class_id: int) -> list[int]:
    return [index for index, image in enumerate(images) if image.labelled[class_id]]


def _coco(images: Sequence[ScoredImage], class_names: Sequence[str], objects: Iterable[_Objects]) -> Any:
    """Return a ``pycocotools.coco.COCO`` with the `objects` of each of the `images`."""
    try:
        from pycocotools.coco import COCO
    except ImportError:
        raise MissingExtraError("pycocotools", "train") from None
    coco = COCO()
    coco.dataset = {
        "images": [
            {"id": i, "height": image.image_hw[0], "width": image.image_hw[1]} for i, image in enumerate(images)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(class_names)],
        "annotations": list(_annotations(objects)),
    }
    with redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _annotations(objects: Iterable[_Objects]) -> Iterator[Facts]:
    ids = itertools.count(1)  # pycocotools uses 0 for unmatched
    for image_id, (class_ids, scores, facts) in enumerate(objects):
        for class_id, score, own in zip(class_ids.tolist(), scores.tolist(), facts, strict=True):
            stated = {"id": next(ids), "image_id": image_id, "category_id": class_id, "score": score, "iscrowd": 0}
            yield stated | own


def _evaluate(evaluation: Any, class_id: int, image_ids: list[int], sizes_px2: Mapping[str, float]) -> Any:
    """Return the ``COCOeval`` of one class in the images `image_ids`: for all sizes together, then for each of them."""
    ends = [0.0, *sizes_px2.values()]
    evaluation.params.areaRng = [[0.0, max(SIZES_PX2.values())], *map(list, itertools.pairwise(ends))]
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.catIds, evaluation.params.imgIds = [class_id], image_ids
    with redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _precision(evaluation: Any, area: int = 0) -> Float64Array:
    """Return the precision (10, 101) by IoU threshold and recall, nan without objects of the size `area`."""
    precision = np.asarray(evaluation.eval["precision"][:, :, 0, area, 0])
    return np.where(precision < 0, np.nan, precision)


def _class_scores(evaluation: Any) -> ClassScores:
    precision = _precision(evaluation)
    found = [image for image in evaluation.evalImgs[: len(evaluation.params.imgIds)] if image]
    # What is ignored is neither a miss nor a hit: objects without labelled key points.
    truths = sum(int(np.sum(np.logical_not(image["gtIgnore"]))) for image in found)
    counted = [np.logical_not(image["dtIgnore"][_IOU50]) for image in found]
    nothing = np.zeros(0)
    scores = np.concatenate(
        [nothing, *(np.array(each["dtScores"])[kept] for each, kept in zip(found, counted, strict=True))]
    )
    hits = (
        np.concatenate([nothing, *(each["dtMatches"][_IOU50][kept] for each, kept in zip(found, counted, strict=True))])
        > 0
    )
    best_precision, best_recall, threshold = _best_f1(scores, hits, truths)
    return ClassScores(
        truths=truths,
        ap50_95=float(precision.mean()),
        ap50=float(precision[_IOU50].mean()),
        ap75=float(precision[_IOU75].mean()),
        precision=best_precision,
        recall=best_recall,
        threshold=threshold,
        curve=precision[_IOU50],
    )


def _best_f1(scores: Float64Array, hits: npt.NDArray[np.bool_], truths: int) -> tuple[float, float, float]:
    """Return precision, recall and least score of the detections with the best F1.

    Without hits precision and recall are 0 and the score is nan; without truths all are nan.
    """
    if not truths or not hits.any():
        return (0.0, 0.0, np.nan) if truths else (np.nan, np.nan, np.nan)
    order = np.argsort(-scores, kind="stable")
    scores, found = scores[order], np.cumsum(hits[order])
    # A threshold keeps either all or none of the detections with equal scores.
    ends = np.append(np.nonzero(np.diff(scores))[0], len(scores) - 1)
    # F1 = 2 TP / (detections + truths)
    f1 = 2 * found[ends] / (ends + 1 + truths)
    end = ends[np.argmax(f1)]
    return float(found[end] / (end + 1)), float(found[end] / truths), float(scores[end])


def _mean(values: Iterable[float]) -> float:
    """Return the mean of the `values` that are not nan; nan if there are none."""
    numbers = [value for value in values if not np.isnan(value)]
    return float(np.mean(numbers)) if numbers else float("nan")


def matched_classes(class_names: Sequence[str], model_names: Sequence[str]) -> Int64Array:
    """Return for each class of a model the class id of the data with the same name, i64, or -1.

    Raises InputError when they have no name in common.
    """
    ids = {name: class_id for class_id, name in enumerate(class_names)}
    matched = np.array([ids.get(name, -1) for name in model_names], np.int64)
    if (matched < 0).all():
        some, others = (", ".join([*names[:6], "..."][: len(names)]) for names in (class_names, model_names))
        raise InputError(f"expected a model that knows classes of the data ({some}), found one that knows {others}")
    return matched


def scored_images(
    images: Sequence[LabelledImage], class_names: Sequence[str], matched: Int64Array, detect: DetectImage
) -> Iterator[ScoredImage]:
    """Yield each of `images` with its labels and its detections by `detect`, with the class ids of the data.

    `matched` comes from `matched_classes`. Images count as not labelled for classes that the model does not have.
    Raises StreamdetError for an image that cannot be decoded.
    """
    known = np.isin(np.arange(len(class_names)), matched)
    for frame, detections in detect(_frames(images)):
        files = images[frame.index]
        objects, _ = files.read_labels()
        height, width = frame.image.shape[:2]
        scored = ScoredImage(
            (height, width),
            objects.class_ids,
            objects.boxes * np.array([width, height] * 2, np.float32),
            _renamed(detections, matched, len(class_names)),
            tuple((known & np.array(files.labelled)).tolist()),
            objects.shapes and objects.shapes.moved(np.diag([width, height, 0])[:2]),
        )
        yield scored.packed()


def _frames(images: Sequence[LabelledImage]) -> Iterator[Frame]:
    for index, files in enumerate(images):
        image = read_image(files.image)
        if image is None:
            raise StreamdetError(f"{files.image}: expected an image, but it cannot be decoded any more")
        yield Frame(index, index, Fraction(1), image, str(files.image), time.monotonic())


def _renamed(detections: Detections, matched: Int64Array, class_count: int) -> Detections:
    """Return the detections of the `class_count` classes of the data, with its class ids."""
    if (stated := detections.probabilities) is not None:
        probabilities, known = np.zeros(class_count, np.float32), matched >= 0
        probabilities[matched[known]] = stated[known]
        return Detections(detections.boxes, detections.scores, detections.class_ids, probabilities=probabilities)
    kept = detections[matched[detections.class_ids] >= 0]
    shapes = kept.masks, kept.keypoints, kept.rotated
    return Detections(kept.boxes, kept.scores, matched[kept.class_ids], (), *shapes)
