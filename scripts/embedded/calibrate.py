"""Moves the scores of a trained network to where the default thresholds of detectors and trackers expect them."""

from __future__ import annotations

import math

import torch
from torch import nn

from streamdet.evaluate.det import DetectionScores
from streamdet.models.heads import DetectHead
from streamdet.models.weights import Network

# The score that separates right from wrong detections best in published detectors, which default thresholds are made
# for: YOLOv8n has its best F1 about there, on the validation images of the embedded model too.
BEST_F1_SCORE = 0.3
# A class with fewer objects moves as the others do.
_LEAST_TRUTHS = 50


@torch.no_grad()
def calibrate(network: Network, scores: DetectionScores) -> dict[str, float]:
    """Add to the logits of every class what moves its best F1 in `scores` to BEST_F1_SCORE; returns what was added.

    An offset keeps the order of the detections of a class, so its average precision too.
    """
    head = network.head
    assert isinstance(head, DetectHead)
    measured = {
        name: _logit(BEST_F1_SCORE) - _logit(each.threshold)
        for name, each in scores.by_class.items()
        if each.truths >= _LEAST_TRUTHS and not math.isnan(each.threshold)
    }
    others = sum(measured.values()) / max(len(measured), 1)
    offsets = {name: measured.get(name, others) for name in network.spec.class_names}
    for branch in head.cv3:
        assert isinstance(branch, nn.Sequential)
        bias = branch[-1].bias
        assert isinstance(bias, torch.Tensor)
        bias += torch.tensor(list(offsets.values()))
    return offsets


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
