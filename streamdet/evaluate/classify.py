"""Accuracy of models that classify whole images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamdet.evaluate.det import ScoredImage
from streamdet.types import Int64Array

TOP = 5


@dataclass(frozen=True, slots=True)
class ClassAccuracy:
    """The number of `images` of a class, and the shares of them whose class is first, or among the first five."""

    images: int
    top1: float
    top5: float


@dataclass(frozen=True, slots=True)
class ClassificationScores:
    """The shares of all images whose class is the most probable one, or among the five most probable; nan for none."""

    top1: float
    top5: float
    by_class: Mapping[str, ClassAccuracy]


def score_classification(images: Sequence[ScoredImage], class_names: Sequence[str]) -> ClassificationScores:
    """Return the scores of the probabilities in the detections of `images`, each of one labelled class."""
    class_ids = np.array([image.truth_class_ids[0] for image in images], np.int64)
    ranks = np.array([_rank(image) for image in images], np.int64)
    by_class = {name: ranks[class_ids == class_id] for class_id, name in enumerate(class_names)}
    accuracies = {name: ClassAccuracy(len(own), _share(own, 1), _share(own, TOP)) for name, own in by_class.items()}
    return ClassificationScores(_share(ranks, 1), _share(ranks, TOP), accuracies)


def _rank(image: ScoredImage) -> int:
    """Return how many classes are at least as probable as the labelled one, besides it."""
    probabilities, class_id = image.detections.probabilities, image.truth_class_ids[0]
    assert probabilities is not None
    return int((probabilities >= probabilities[class_id]).sum()) - 1


def _share(ranks: Int64Array, first: int) -> float:
    return float((ranks < first).mean()) if len(ranks) else float("nan")
