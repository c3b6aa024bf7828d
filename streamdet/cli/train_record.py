"""What a training leaves behind for people: plots, mosaics, and TensorBoard's log where that is installed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from streamdet.cli.console import warn
from streamdet.data.check import DataReport
from streamdet.errors import MissingExtraError
from streamdet.plots.curves import save_curves
from streamdet.plots.labels import save_label_statistics
from streamdet.train.loop import Training
from streamdet.train.pictures import save_training_mosaic, save_validation_mosaics
from streamdet.train.state import EpochRow


class TrainRecord:
    """Draws into the folder of `training`: what it learns from at the start, and how it goes after every epoch."""

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
        """Account one epoch."""
        if self._plots:
            save_curves(self._out / "results.csv", self._out / "results.png")
        if self._writer is not None:
            for name, value in asdict(row).items():
                self._writer.add_scalar(name, value, row.epoch)

    def close(self) -> None:
        """Draw what the best weights find, and end TensorBoard's log."""
        training, best = self._training, self._out / "best.safetensors"
        if training.data.val and best.exists():
            pictures = (self._out / "val_labels.png", self._out / "val_detections.png")
            save_validation_mosaics(best, training.data, training.settings, *pictures)
        if self._writer is not None:
            self._writer.close()


def _tensorboard(out: Path) -> Any:
    """Return a writer of TensorBoard's log, None where it is not installed."""
    with suppress(ImportError):
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(out))
    return None
