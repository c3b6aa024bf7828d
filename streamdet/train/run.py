"""A training as a folder: what it was told lies in ``training.yaml``, so that it can go on without being told again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from streamdet.data.check import check
from streamdet.data.dataset import Dataset, read_dataset
from streamdet.errors import InputError, OutputError
from streamdet.files import PARTIAL, replacing
from streamdet.machine import resolve_device
from streamdet.models.heads import AnchorHead
from streamdet.models.table import ModelSpec, load_spec
from streamdet.models.weights import Network, load_model
from streamdet.train.anchors import fit_anchors
from streamdet.train.config import TrainConfig, read_train_config
from streamdet.train.distributed import Process
from streamdet.train.loop import Training
from streamdet.train.state import STATE
from streamdet.types import Float32Array

DEFAULT_MODEL = "yolov8n"

_RECORD = "training.yaml"
_SPEC = "network"


@dataclass(frozen=True, slots=True)
class TrainRun:
    """What to train: a data file, weights to start from, a model, by name or table; without it that of the weights."""

    data: Path
    model: str | None
    weights: Path | None
    settings: TrainConfig

    def network(self, class_names: tuple[str, ...]) -> tuple[Network, int]:
        """Return the network for `class_names`, and how many of its tensors come from the weights.

        The rest is random, decided by the seed. Raises InputError.
        """
        given = load_model(self.weights) if self.weights else None
        spec = given.spec if given and not self.model else load_spec(self.model or DEFAULT_MODEL)
        torch.manual_seed(self.settings.seed)
        network = Network(spec.with_classes(class_names))
        return network, _take(network, given.module) if given else 0

    def to_json(self) -> dict[str, Any]:
        """Return all of it in types that JSON and YAML know, with files by their full paths."""
        model = Path(self.model) if self.model else None
        return {
            "data": str(self.data.resolve()),
            "model": str(model.resolve()) if model and model.is_file() else self.model,
            "weights": str(self.weights.resolve()) if self.weights else None,
            "settings": self.settings.model_dump(),
        }


def start(
    run: TrainRun, data: Dataset, out: Path, *, device: str = "auto", process: Process | None = None
) -> tuple[Training, int]:
    """Return a training in the new folder `out`, and how many tensors its weights gave; raises InputError."""
    process = process or Process()
    if process.is_first and not _is_free(out):
        raise InputError(f"{out} exists already: give another --out, or go on with --resume {out}")
    network, taken = run.network(data.class_names)
    if isinstance(network.head, AnchorHead) and run.settings.autoanchor:
        fit_anchors(network.head, _sizes_px(data, run.settings.imgsz), seed=run.settings.seed)
    training = Training(network, data, run.settings, out, device=_device(device, process), process=process)
    if process.is_first:
        _record(run, training)
    return training, taken


def resume(
    run: TrainRun, data: Dataset, out: Path, *, device: str = "auto", process: Process | None = None
) -> Training:
    """Return the training in `out` as it was last saved; raises InputError."""
    process = process or Process()
    spec = _recorded_spec(out)
    if spec.class_names != data.class_names:
        began, now = (", ".join(names) for names in (spec.class_names, data.class_names))
        raise InputError(f"{data.path}: the training began with the classes {began}, which are now {now}")
    if process.is_first:
        for partial in out.glob(f".*{PARTIAL}"):  # of a process that was killed
            partial.unlink(missing_ok=True)
    network = Network(spec)
    device = _device(device, process)
    return Training(network, data, run.settings, out, device=device, process=process, resume=True)


def is_begun(out: Path) -> bool:
    """Return whether `out` is the folder of a training that `resume` can go on with."""
    return (out / _RECORD).exists()


def recorded(out: Path) -> TrainRun:
    """Return what the training in the folder `out` was told; raises InputError when there is none."""
    try:
        stated: dict[str, Any] = yaml.safe_load((out / _RECORD).read_text(encoding="utf-8"))
        weights = stated["weights"]
        settings = read_train_config(None, stated["settings"])
        return TrainRun(Path(stated["data"]), stated["model"], Path(weights) if weights else None, settings)
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        raise InputError(f"{out}: expected the folder of a training with {_RECORD}, found none to go on with") from None


def read_data(run: TrainRun) -> Dataset:
    """Return the data that a run trains with; raises InputError."""
    return read_dataset(run.data)


def _recorded_spec(out: Path) -> ModelSpec:
    """Return the network of the training in `out`: the weights or the table that it came from may be gone."""
    try:
        return ModelSpec.from_json(yaml.safe_load((out / _RECORD).read_text(encoding="utf-8"))[_SPEC])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        raise InputError(f"{out / _RECORD}: expected the network that is trained, found none") from None


def _is_free(out: Path) -> bool:
    """Return whether `out` holds nothing but what a training leaves that was killed before it was recorded."""
    return not out.exists() or (out.is_dir() and all(_is_trace(file) for file in out.iterdir()))


def _is_trace(file: Path) -> bool:
    return file.name == STATE or file.suffix == PARTIAL


def _record(run: TrainRun, training: Training) -> None:
    """Write what the training was told, after its state: what is recorded can go on, whenever it is killed."""
    out = training.out
    try:
        out.mkdir(parents=True, exist_ok=True)
        training.save()
        told = run.to_json() | {_SPEC: training.spec.to_json()}
        with replacing(out / _RECORD) as partial:
            partial.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: the training cannot be written there: {error.strerror}") from None


def _take(network: Network, given: Network) -> int:
    """Copy the tensors of `given` that fit; heads of other classes keep their random start."""
    state = network.state_dict()
    fitting = {
        key: tensor for key, tensor in given.state_dict().items() if key in state and state[key].shape == tensor.shape
    }
    network.load_state_dict(fitting, strict=False)
    return len(fitting)


def _sizes_px(data: Dataset, size_px: int) -> Float32Array:
    """Return width and height of all objects, f32 (N, 2), in images resized to `size_px`."""
    images = [image for image in check(data).train if image.usable]
    sides: Float32Array = np.concatenate([image.sides_px * (size_px / image.facts.longer_px) for image in images])
    return sides


def _device(device: str, process: Process) -> str:
    found = resolve_device(device)
    return found if found == "cpu" or process.world == 1 else f"cuda:{process.local}"
