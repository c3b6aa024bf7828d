"""What a person looks at to see that a training is right: what the network is shown, and what it finds."""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path

import numpy as np

from streamdet.data.spec import DataSpec
from streamdet.detect.detector import Detector
from streamdet.plots.batch import Objects, save_batch
from streamdet.train.example import Example
from streamdet.train.examples import Examples, Order, load
from streamdet.train.settings import TrainSettings

SHOWN = 16
_CONF = 0.25


def save_training_mosaic(data: DataSpec, settings: TrainSettings, png: Path) -> None:
    """Draw the first examples of the first epoch, as the network gets them, with their labels."""
    examples = Examples(data.train, len(data.class_names), settings)
    order = chain.from_iterable(Order(len(examples), settings.batch, settings.seed, epoch=0))
    shown = [examples[draw][0] for draw in islice(order, SHOWN)]
    _save(shown, [(example.class_ids, example.boxes) for example in shown], data, png)


def save_validation_mosaics(weights: Path, data: DataSpec, settings: TrainSettings, labels: Path, found: Path) -> None:
    """Draw validation images twice: with their labels, and with what the model in `weights` detects."""
    places = np.linspace(0, len(data.val) - 1, min(SHOWN, len(data.val))).astype(int)
    shown = [
        _square(load(data.val[place], len(data.class_names)).resized(settings.imgsz), settings) for place in places
    ]
    _save(shown, [(example.class_ids, example.boxes) for example in shown], data, labels)
    detector = Detector(weights, device="cpu", backend="torch", size=settings.imgsz, conf=_CONF)
    detections = [detector(example.image) for example in shown]
    _save(shown, [(each.class_ids, each.boxes) for each in detections], data, found)


def _square(example: Example, settings: TrainSettings) -> Example:
    """Return the example with grey to its right and below, so that all are of one size."""
    height, width = example.hw
    rest = ((0, settings.imgsz - height), (0, settings.imgsz - width), (0, 0))
    return Example(np.pad(example.image, rest, constant_values=114), example.class_ids, example.boxes)


def _save(shown: list[Example], objects: list[Objects], data: DataSpec, png: Path) -> None:
    save_batch(np.stack([example.image for example in shown]), objects, data.class_names, png)
