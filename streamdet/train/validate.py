"""Validation during a training: the scores of a network on images that it does not train with."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from streamdet.boxes import Selection
from streamdet.data.dataset import LabelledImage
from streamdet.detect.tasks import Task, task_from
from streamdet.evaluate.classify import score_classification
from streamdet.evaluate.det import ScoredImage, score_detections
from streamdet.evaluate.measures import TASK_MEASURES
from streamdet.inference.graph import RowsNetwork, model_card
from streamdet.inference.session import Found
from streamdet.letterbox import letterboxed
from streamdet.models.weights import LoadedModel, Network
from streamdet.train.examples import load

# mAP is the area under the precision-recall curve, which is complete only with detections of very low scores.
_SELECTION = Selection(conf=0.001, iou=0.7, max_det=300)
_BATCH = 16


def score_names(task: str) -> tuple[str, ...]:
    """Return the names of the scores of a `task`: mAP of boxes, then of what it adds, or top1 and top5."""
    if task == "classify":
        return "top1", "top5"
    _, *added = TASK_MEASURES[task]
    return tuple(
        f"{prefix}{score}" for prefix in ("", *(f"{each}_" for each in added)) for score in ("map50_95", "map50")
    )


@torch.inference_mode()
def validate(
    network: Network, images: Sequence[LabelledImage], class_names: tuple[str, ...], size_px: int, device: str
) -> dict[str, float]:
    """Return the scores of `network` on `images`, fitted into squares of `size_px`, by their `score_names`."""
    model = LoadedModel(copy.deepcopy(network))
    task, names = task_from(model_card(model)), score_names(model.spec.task)
    rows = RowsNetwork(model).to(device)
    scored: list[ScoredImage] = []
    for start in range(0, len(images), _BATCH):
        scored += _detected(rows, task, images[start : start + _BATCH], size_px, device)
    if model.spec.task == "classify":
        accuracy = score_classification(scored, class_names)
        return dict(zip(names, (accuracy.top1, accuracy.top5), strict=True))
    measures = TASK_MEASURES[model.spec.task]
    scores = [score_detections(scored, class_names, by_size=False, by=measure) for measure in measures]
    return dict(zip(names, (score for each in scores for score in (each.map50_95, each.map50)), strict=True))


def _detected(
    rows: RowsNetwork, task: Task[Any], images: Sequence[LabelledImage], size_px: int, device: str
) -> Iterator[ScoredImage]:
    """Yield each of `images`, which form one batch, with its labels and detections in px of the image."""
    examples = [load(image) for image in images]
    letterboxes = [task.fits.fit(example.hw, (size_px, size_px), size_px) for example in examples]
    canvases = [letterboxed(example.image, letterbox) for example, letterbox in zip(examples, letterboxes, strict=True)]
    output = rows(torch.from_numpy(np.stack(canvases)).to(device))
    if isinstance(output, tuple):
        found = [Found(*(each.cpu().numpy() for each in pair)) for pair in zip(*output, strict=True)]
    else:
        found = list(output.cpu().numpy())
    for image, example, letterbox, candidates in zip(images, examples, letterboxes, found, strict=True):
        detections = task.detections(task.kept(candidates, _SELECTION), letterbox, example.hw)
        labels = example.class_ids, example.boxes
        yield ScoredImage(example.hw, *labels, detections, image.labelled, example.shapes).packed()
