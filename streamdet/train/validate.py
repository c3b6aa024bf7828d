"""Validation during a training: the scores of a network on images that it does not train with."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from streamdet.boxes import Selection
from streamdet.data.dataset import LabelledImage
from streamdet.detect.tasks import DetectTask
from streamdet.evaluate.det import DetectionScores, ScoredImage, score_detections
from streamdet.inference.graph import RowsNetwork
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.models.weights import LoadedModel, Network
from streamdet.train.examples import load

# mAP is the area under the precision-recall curve, which is complete only with detections of very low scores.
_SELECTION = Selection(conf=0.001, iou=0.7, max_det=300)
_TASK = DetectTask()
_BATCH = 16


@torch.inference_mode()
def validate(
    network: Network, images: Sequence[LabelledImage], class_names: tuple[str, ...], size_px: int, device: str
) -> DetectionScores:
    """Return the scores of `network` on `images`, letterboxed to squares of `size_px`."""
    rows = RowsNetwork(LoadedModel(copy.deepcopy(network))).to(device)
    scored: list[ScoredImage] = []
    for start in range(0, len(images), _BATCH):
        scored += _detected(rows, images[start : start + _BATCH], size_px, device)
    return score_detections(scored, class_names, by_size=False)


def _detected(rows: RowsNetwork, images: Sequence[LabelledImage], size_px: int, device: str) -> Iterator[ScoredImage]:
    """Yield each of `images`, which form one batch, with its labels and detections in px of the image."""
    examples = [load(image) for image in images]
    letterboxes = [Letterbox.fit(example.hw, (size_px, size_px), size_px) for example in examples]
    canvases = [letterboxed(example.image, letterbox) for example, letterbox in zip(examples, letterboxes, strict=True)]
    found = rows(torch.from_numpy(np.stack(canvases)).to(device)).cpu().numpy()
    for image, example, letterbox, candidates in zip(images, examples, letterboxes, found, strict=True):
        detections = _TASK.detections(_TASK.kept(candidates, _SELECTION), letterbox, example.hw)
        yield ScoredImage(example.hw, example.class_ids, example.boxes, detections, image.labelled)
