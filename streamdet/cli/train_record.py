"""The progress of a training on the terminal, and what it leaves for people: plots, mosaics, TensorBoard's log."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streamdet.cli.console import stderr, warn
from streamdet.data.check import DataReport
from streamdet.data.dataset import ClassifiedImage, Dataset, LabelledImage
from streamdet.detect.detector import Detector
from streamdet.errors import MissingExtraError
from streamdet.letterbox import PADDING, CenterCrop, letterboxed
from streamdet.masks import Masks
from streamdet.plots import BATCH_IMAGES, save_batch, save_curves, save_label_statistics
from streamdet.train.augment import Example
from streamdet.train.config import TrainConfig
from streamdet.train.examples import Examples, Order, collate, load
from streamdet.train.loop import BatchReport, Training
from streamdet.train.state import EpochRow
from streamdet.types import Detections, UInt8Array

MOSAIC_CONF = 0.25  # the least score of detections in the mosaic of detections


class TrainProgress:
    """Shows a bar for each of `epochs` on a terminal, elsewhere a line at its end; shows nothing unless `speaks`."""

    def __init__(self, epochs: int, *, speaks: bool = True) -> None:
        self._epochs, self._speaks = epochs, speaks
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        shown = stderr.is_terminal and speaks
        self._progress = Progress(*columns, console=stderr, refresh_per_second=2, disable=not shown)
        self._task = self._progress.add_task("training")

    def update(self, report: BatchReport) -> None:
        """Show the losses of a batch."""
        losses = (f"{name} {value:.3f}" for name, value in report.parts.items())
        line = "  ".join((f"epoch {report.epoch + 1}/{self._epochs}", *losses))
        self._progress.update(self._task, completed=report.batch, total=report.batches, description=line)
        if self._speaks and not stderr.is_terminal and report.batch == report.batches:
            stderr.print(line, markup=False)

    def __enter__(self) -> TrainProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


class TrainRecord:
    """Draws into the folder of `training`: its examples and labels at the start, its curves after every epoch."""

    def __init__(self, training: Training, report: DataReport) -> None:
        self._training, self._out = training, training.out
        self._plots = find_spec("matplotlib") is not None
        self._writer = _tensorboard(training.out)
        save_training_mosaic(training.data, training.settings, self._out / "train.png")
        if self._plots:
            save_label_statistics(report, self._out / "labels.png")
        else:
            warn(f"no curves are drawn: {MissingExtraError('matplotlib', 'train')}")

    def add(self, row: EpochRow) -> None:
        """Draw the curves up to an epoch, and log its numbers for TensorBoard."""
        if self._plots:
            save_curves(self._out / "results.csv", self._out / "results.png")
        if self._writer is not None:
            for name, value in row.columns().items():
                self._writer.add_scalar(name, value, row.epoch)

    def close(self) -> None:
        """Draw the detections of the best weights in validation images, and close TensorBoard's log."""
        training, best = self._training, self._out / "best.safetensors"
        if training.data.val and best.exists():
            pictures = (self._out / "val_labels.png", self._out / "val_detections.png")
            save_validation_mosaics(best, training.data, training.settings, *pictures)
        if self._writer is not None:
            self._writer.close()


def _tensorboard(out: Path) -> Any:
    """Return a writer of TensorBoard's log, None if TensorBoard is not installed."""
    with suppress(ImportError):
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(out))
    return None


def save_training_mosaic(data: Dataset, settings: TrainConfig, png: Path) -> None:
    """Draw the first examples of the first epoch, augmented as for the network, with what it learns from."""
    examples = Examples(data.train, settings)
    order = chain.from_iterable(Order(len(examples), settings.batch, settings.seed, epoch=0))
    _save_labelled([examples[draw][0] for draw in islice(order, BATCH_IMAGES)], data, png)


def save_validation_mosaics(weights: Path, data: Dataset, settings: TrainConfig, labels: Path, found: Path) -> None:
    """Draw validation images with their labels to the file `labels`, and with detections of `weights` to `found`."""
    places = np.linspace(0, len(data.val) - 1, min(BATCH_IMAGES, len(data.val))).astype(int)
    shown = [_square(data.val[place], settings.imgsz) for place in places]
    _save_labelled(shown, data, labels)
    detector = Detector(weights, device="cpu", backend="torch", size=settings.imgsz, conf=MOSAIC_CONF)
    save_batch(_images(shown), [detector(example.image) for example in shown], found)


def _square(image: LabelledImage, size_px: int) -> Example:
    """Return the example padded with grey, on the right and below, to `size_px` on both sides.

    Of an image that shows one class it is the square in the middle, as it is validated.
    """
    example = load(image)
    if isinstance(image, ClassifiedImage):
        return replace(example, image=letterboxed(example.image, CenterCrop.fit(example.hw, size_px, size_px)))
    example = example.resized(size_px)
    height, width = example.hw
    padding = ((0, size_px - height), (0, size_px - width), (0, 0))
    return replace(example, image=np.pad(example.image, padding, constant_values=PADDING))


def _save_labelled(shown: list[Example], data: Dataset, png: Path) -> None:
    labelled = _classes if isinstance(data.train[0], ClassifiedImage) else _objects
    save_batch(_images(shown), [labelled(example, data.class_names) for example in shown], png)


def _images(shown: list[Example]) -> UInt8Array:
    return np.stack([example.image for example in shown])


def _classes(example: Example, class_names: tuple[str, ...]) -> Detections:
    """Return the classes that an example shows, all equally probable."""
    counts = np.bincount(example.class_ids, minlength=len(class_names))
    return Detections(np.zeros((0, 4)), [], [], class_names, probabilities=counts / max(counts.sum(), 1))


def _objects(example: Example, class_names: tuple[str, ...]) -> Detections:
    """Return the objects of an example, as the loss gets them, as detections that are sure."""
    _, targets = collate([(example, ())])
    (height, width), masks, keypoints = example.hw, targets.masks, targets.keypoints
    if keypoints is not None:
        keypoints = keypoints.minimum(torch.tensor([torch.inf, torch.inf, 1]))  # hidden points are learned, too
    return Detections(
        example.boxes,
        np.ones(len(example.boxes)),
        example.class_ids,
        class_names,
        None if masks is None else Masks(255 * masks, example.boxes, [0, 0, width, height], example.hw),
        keypoints,
        targets.rotated,
    )
