"""A training that takes a second: a detector of four layers, all of whose parts are real, and images of rectangles."""

import os
import signal
from pathlib import Path

import torch
import yaml

from streamdet.data.dataset import Dataset
from streamdet.models.table import resolve
from streamdet.models.weights import Network
from streamdet.train.config import TrainConfig
from streamdet.train.distributed import Process
from streamdet.train.loop import BatchReport, Training

from .rectangles import CLASS_NAMES

_TABLE = {
    "names": list(CLASS_NAMES),
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [16, 3, 2]]],
    "head": [[[2], 1, "Detect", ["nc"]]],
}

# Of 12 images: 6 batches an epoch, and two batches to a step once the warm-up of 6 batches is over.
SETTINGS = TrainConfig(
    epochs=3, batch=2, nominal_batch=4, imgsz=64, warmup_epochs=1, close_mosaic=1, multi_scale=0.3, workers=0, save_s=0
)


# Images as they are on disk.
STILL = dict.fromkeys(("hsv_h", "hsv_s", "hsv_v", "translate", "scale", "fliplr", "mosaic"), 0.0)


def kill(report: BatchReport) -> None:
    """End this process, as a power cut would, in the third batch of the second epoch."""
    if (report.epoch, report.batch) == (1, 3):
        os.kill(os.getpid(), signal.SIGKILL)


def small_network() -> Network:
    """Return the network, always with the same weights; one pyramid level of 8 px."""
    torch.manual_seed(0)
    return Network(resolve(_TABLE, "small"))


def write_small_table(folder: Path) -> str:
    """Write the table of the network and return its name, as ``--model`` takes it."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(_TABLE))
    return str(path)


def small_training(
    data: Dataset,
    out: Path,
    network: Network | None = None,
    *,
    process: Process | None = None,
    resume: bool = False,
    **changes: object,
) -> Training:
    """Return a training with `SETTINGS` but for `changes`."""
    out.mkdir(exist_ok=True)
    settings = SETTINGS.model_copy(update=changes)
    return Training(network or small_network(), data, settings, out, process=process, resume=resume)
