"""A training in a folder of its own, whose ``training.yaml`` holds all that is needed to resume it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from streamdet.data.check import SPLITS, DataReport, check
from streamdet.data.dataset import Dataset, LabelledImage, chosen_part, read_dataset
from streamdet.errors import InputError, OutputError, shown
from streamdet.files import PARTIAL, replacing
from streamdet.machine import resolve_device
from streamdet.models.heads import AnchorHead
from streamdet.models.table import ModelSpec, load_spec
from streamdet.models.weights import Network, load_model
from streamdet.train.anchors import fit_anchors
from streamdet.train.config import TrainConfig, read_train_config
from streamdet.train.distributed import Process
from streamdet.train.examples import sample_batches
from streamdet.train.loop import Training
from streamdet.train.norms import unfold_norms
from streamdet.train.state import STATE
from streamdet.types import Float32Array
from streamdet.yaml_file import read_yaml

DEFAULT_MODEL = "yolov8n"

_RECORD = "training.yaml"
_SPEC = "network"  # the key of the model's table in it


@dataclass(frozen=True, slots=True)
class TrainRun:
    """The inputs of a training: a data file, weights to start from, a model by name or table, and the settings.

    Without a model it is that of the weights, without both `DEFAULT_MODEL`. `arch` is the architecture of weights that
    are only tensors.
    """

    data: Path
    model: str | None
    weights: Path | None
    settings: TrainConfig
    arch: str | None = None

    def spec(self) -> ModelSpec:
        """Return the spec of the model as it is stated; raises InputError when it cannot be read."""
        if self.weights and not self.model:
            return load_model(self.weights, self.arch).spec
        return load_spec(self.model or DEFAULT_MODEL)

    def network(
        self,
        class_names: tuple[str, ...],
        kpt_shape: tuple[int, int] | None = None,
        images: Sequence[LabelledImage] = (),
    ) -> tuple[Network, int]:
        """Return the network for `class_names`, and the number of its tensors that come from the weights.

        The others are random, by the seed. One for poses is for key points of `kpt_shape`. `images` are those to train
        with: weights whose batch norms were folded get the statistics of some of them, see `unfold_norms`. Raises
        InputError when the model or the weights cannot be read.
        """
        given = load_model(self.weights, self.arch) if self.weights else None
        if given and images:
            unfold_norms(given.module, sample_batches(images, self.settings))
        spec = given.spec if given and not self.model else load_spec(self.model or DEFAULT_MODEL)
        torch.manual_seed(self.settings.seed)
        network = Network(spec.with_classes(class_names, kpt_shape if spec.task == "pose" else None))
        return network, _copy_fitting(given.module, network) if given else 0

    def to_json(self) -> dict[str, Any]:
        """Return the run in types of JSON and YAML, with absolute paths of files."""
        return {
            "data": str(self.data.resolve()),
            "model": _absolute(self.model),
            "weights": str(self.weights.resolve()) if self.weights else None,
            "arch": _absolute(self.arch),
            "settings": self.settings.model_dump(),
        }


def _absolute(table: str | None) -> str | None:
    """Return `table`, the name of a model, or the absolute path of its file if it is one."""
    return str(Path(table).resolve()) if table and Path(table).is_file() else table


def start(
    run: TrainRun, data: Dataset, out: Path, *, device: str = "auto", process: Process | None = None
) -> tuple[Training, int]:
    """Return a training in the new folder `out`, and the number of tensors that come from its weights.

    Raises InputError when `out` is in use, and where `TrainRun.network`, `fit_anchors` or `Training` do.
    """
    process = process or Process()
    if process.is_first and not _is_free(out):
        raise InputError(f"{out} exists already: give another --out, or go on with --resume {out}")
    network, copied = run.network(data.class_names, data.kpt_shape, data.train)
    if isinstance(network.head, AnchorHead) and run.settings.autoanchor:
        fit_anchors(network.head, _sizes_px(data, run.settings.imgsz), seed=run.settings.seed)
    training = Training(network, data, run.settings, out, device=_device(device, process), process=process)
    if process.is_first:
        _record(run, training)
    return training, copied


def resume(
    run: TrainRun, data: Dataset, out: Path, *, device: str = "auto", process: Process | None = None
) -> Training:
    """Return the training in `out` with the state that was saved last.

    Raises InputError when `out` is not the folder of a training with the settings of `run` and the classes of `data`.
    """
    process = process or Process()
    spec = _recorded_spec(out)
    if spec.class_names != data.class_names:
        began, now = (", ".join(names) for names in (spec.class_names, data.class_names))
        raise InputError(f"{data.path}: the training began with the classes {began}, which are now {now}")
    if spec.task == "pose" and spec.kpt_shape != data.kpt_shape:
        began, now = (shown(list(shape or ())) for shape in (spec.kpt_shape, data.kpt_shape))
        raise InputError(f"{data.path}: the training began with the kpt_shape {began}, which is now {now}")
    if process.is_first:
        for partial in out.glob(f".*{PARTIAL}"):  # left by a process that was killed
            partial.unlink(missing_ok=True)
    network = Network(spec)
    device = _device(device, process)
    return Training(network, data, run.settings, out, device=device, process=process, resume=True)


def is_begun(out: Path) -> bool:
    """Return whether `out` is the folder of a training that `resume` can go on with."""
    return (out / _RECORD).exists()


def recorded(out: Path) -> TrainRun:
    """Return the run that the training in the folder `out` began with; raises InputError when there is none."""
    if not is_begun(out):
        raise InputError(f"{out}: expected the folder of a training with {_RECORD}, found none to go on with")
    stated = read_yaml(out / _RECORD, "the record of a training")
    try:
        weights = Path(stated["weights"]) if stated["weights"] else None
        settings = read_train_config(None, stated["settings"])
        return TrainRun(Path(stated["data"]), stated["model"], weights, settings, stated.get("arch"))
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{out}: expected the folder of a training with {_RECORD}, found none to go on with") from None


def read_data(run: TrainRun, resumed: Path | None = None) -> Dataset:
    """Return what `run` learns of its data set, for the task of its model, or of that in a `resumed` training's folder.

    Raises InputError when the data file or its images are missing or malformed.
    """
    spec = run.spec() if resumed is None else _recorded_spec(resumed)
    settings, classes = run.settings, run.settings.classes
    return chosen_part(
        read_dataset(run.data, spec.task),
        fraction=settings.fraction,
        classes=[classes] if isinstance(classes, int | str) else classes,
        single_cls=settings.single_cls,
    )


def trainable(report: DataReport) -> Dataset:
    """Return the data without broken images; raises InputError when no object is left to train or to validate with."""
    data = replace(report.dataset, train=report.usable("train"), val=report.usable("val"))
    if not data.train:
        raise InputError(f"{data.path}: expected images to train with, and none of those it names can be used")
    for split in SPLITS:
        images = report.images(split)
        if images and not report.objects_by_class(split).any():
            kind, path, detail = next(finding for image in images for finding in image.findings())
            example = f"{path}: {detail}: {kind}" if detail else f"{path}: {kind}"
            raise InputError(f"{data.path}: expected objects of its classes in {split}, found none; {example}")
    return data


def _recorded_spec(out: Path) -> ModelSpec:
    """Return the recorded model table of the training in `out`, which does not need the weights or table of the run."""
    try:
        return ModelSpec.from_json(read_yaml(out / _RECORD, "the record of a training")[_SPEC])
    except KeyError:
        raise InputError(f"{out / _RECORD}: expected the network that is trained, found none") from None


def _is_free(out: Path) -> bool:
    """Return whether `out` is free: missing, or with no files but those of a training that was killed at its start."""
    if not out.exists():
        return True
    return out.is_dir() and all(file.name == STATE or file.suffix == PARTIAL for file in out.iterdir())


def _record(run: TrainRun, training: Training) -> None:
    """Write the state and then the record of a training: a recorded training always has a state to resume from."""
    out = training.out
    try:
        out.mkdir(parents=True, exist_ok=True)
        training.save()
        record = run.to_json() | {_SPEC: training.spec.to_json()}
        with replacing(out / _RECORD) as partial:
            partial.write_text(yaml.safe_dump(record, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: the training cannot be written there: {error.strerror}") from None


def _copy_fitting(source: Network, target: Network) -> int:
    """Copy the tensors with the same name and shape, so not those of a head for other classes; return their number."""
    state = target.state_dict()
    fitting = {
        key: tensor for key, tensor in source.state_dict().items() if key in state and state[key].shape == tensor.shape
    }
    target.load_state_dict(fitting, strict=False)
    return len(fitting)


def _sizes_px(data: Dataset, size_px: int) -> Float32Array:
    """Return the widths and heights f32 (N, 2) of all objects when the longer sides of images are `size_px`."""
    images = [image for image in check(data).train if image.usable]
    sides: Float32Array = np.concatenate([image.sides_px * (size_px / image.facts.longer_px) for image in images])
    return sides


def _device(device: str, process: Process) -> str:
    resolved = resolve_device(device)
    return resolved if resolved == "cpu" or process.world == 1 else f"cuda:{process.local}"
