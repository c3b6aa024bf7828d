"""``streamdet train``: checks the data, then trains one network, or with ``--evolve`` many to find better settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from streamdet.cli.console import stderr, stdout, table, warn
from streamdet.cli.evaluate import checked_data, print_data_report
from streamdet.cli.interrupt import Stop
from streamdet.cli.options import TrainOptions
from streamdet.cli.train_record import TrainProgress, TrainRecord
from streamdet.data.check import DataReport
from streamdet.data.dataset import Dataset
from streamdet.detect.tasks import CLASSIFIER_SIZE_PX
from streamdet.errors import InputError, shown
from streamdet.files import weights_files
from streamdet.output_file import require_distinct
from streamdet.train.config import read_train_config, unused_settings
from streamdet.train.distributed import Process, joined_process
from streamdet.train.evolve import BEST, RANGES, Individual, evolve
from streamdet.train.loop import DivergedError, Training
from streamdet.train.run import TrainRun, is_begun, read_data, recorded, resume, start, trainable
from streamdet.train.state import STATE
from streamdet.yaml_file import parse_yaml

_MOST_INDIVIDUALS = 3  # of the best ones, in the table beside the first


def run(options: TrainOptions) -> int:
    """Check the data and train to the end, or until Ctrl-C, SIGTERM or the time limit; returns the exit code."""
    inputs = _train_run(options)
    with joined_process(options.device) as process:
        report = checked_data(read_data(inputs, options.resume))
        if process.is_first:
            for sentence in unused_settings(options.config):
                warn(sentence)
            print_data_report(report)
        if options.check:
            return 0
        data = trainable(report)
        if options.evolve is not None:
            if process.world > 1:
                raise InputError(f"expected one process for --evolve, found {process.world}: start it without torchrun")
            return _evolve(inputs, data, options, options.evolve)
        training = _begin(inputs, data, options, process)
        return _train(training, report, Stop(options.minutes))


def _begin(inputs: TrainRun, data: Dataset, options: TrainOptions, process: Process) -> Training:
    """Return a new training, or the one in the folder of --resume; raises InputError when it cannot begin."""
    if options.resume:
        training = resume(inputs, data, options.resume, device=options.device, process=process)
        if process.is_first:
            stderr.print(f"going on after {training.position.epoch} of {inputs.settings.epochs} epochs", markup=False)
        return training
    out = _out(options, "train")
    require_distinct(_files_read(options), {"--out": [out / STATE]})
    training, copied = start(inputs, data, out, device=options.device, process=process)
    if inputs.weights and process.is_first:
        stderr.print(
            f"{copied} tensors come from {inputs.weights}, the rest starts at random", markup=False, soft_wrap=True
        )
    if not data.val and process.is_first:
        warn(f"{inputs.data} names no validation images: nothing says which epoch was best")
    if training.settings.copy_paste and training.spec.task != "segment" and process.is_first:
        warn("copy_paste is not used: only objects with masks are copied, which a model of the task segment learns")
    return training


def _train(training: Training, report: DataReport, stop: Stop) -> int:
    """Train until the end or until `stop` returns True; returns the exit code."""
    is_first = training.process.is_first
    record = TrainRecord(training, report) if is_first else None
    with stop, TrainProgress(training.settings.epochs, speaks=is_first) as progress:
        is_done = training.run(progress.update, record.add if record else lambda row: None, stop)
    if record:
        record.close()
        _print_end(training, is_done)
    return 0 if is_done else stop.exit_code


def _print_end(training: Training, is_done: bool) -> None:
    best, weights = training.position.best, training.out / "best.safetensors"
    if best is not None:
        scores = ", ".join(f"{_in_words(name)} {100 * score:.1f}" for name, score in best.scores.items())
        stderr.print(f"best epoch {best.epoch + 1}: {scores}; weights in {weights}", markup=False, soft_wrap=True)
    elif weights.exists():
        stderr.print(f"weights in {weights}", markup=False, soft_wrap=True)
    if not is_done:
        stderr.print(f"stopped; go on with: streamdet train --resume {training.out}", markup=False, soft_wrap=True)


def _in_words(score: str) -> str:
    """Return the name of a score as it is written: masks_map50_95 is masks mAP50-95."""
    kind, _, name = score.replace("map50_95", "mAP50-95").replace("map50", "mAP50").rpartition("_")
    return f"{kind} {name}".strip().replace("top", "top-")


def _train_run(options: TrainOptions) -> TrainRun:
    """Return the data, model, weights and settings that the options describe; raises InputError."""
    if options.resume is not None:
        _require_nothing_else(options)
        return recorded(options.resume)
    if options.data is None:
        raise InputError("expected a data file such as DATA.yaml, or --resume with the folder of a training")
    given = {name: value for name, value in _shortcuts(options).items() if value is not None}
    if options.arch is not None and options.weights is None:
        raise InputError("expected --arch with --weights, found it alone: --model names what to train")
    settings = read_train_config(options.config, dict(map(_change, options.changes)) | given)
    run = TrainRun(options.data, options.model, options.weights, settings, options.arch)
    if "imgsz" not in settings.model_fields_set and run.spec().task == "classify":
        return replace(run, settings=settings.model_copy(update={"imgsz": CLASSIFIER_SIZE_PX}))
    return run


def _out(options: TrainOptions, name: str) -> Path:
    """Return the folder of --out, without it the first of ``runs/NAME-1``, ``runs/NAME-2``, … that does not exist."""
    if options.out is not None:
        return options.out
    number = 1
    while (folder := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return folder


def _files_read(options: TrainOptions) -> dict[str, list[Path]]:
    """Return the files that a training reads, by what names them on the command line."""
    given = {"DATA": options.data, "--model": options.model, "--config": options.config}
    read = {name: [Path(path)] for name, path in given.items() if path}
    return read | {"--weights": weights_files(options.weights) if options.weights else []}


def _shortcuts(options: TrainOptions) -> dict[str, int | None]:
    """Return the settings that have an option of their own, with None for options that were not given."""
    return {"epochs": options.epochs, "batch": options.batch, "imgsz": options.size}


def _require_nothing_else(options: TrainOptions) -> None:
    named: dict[str, object] = {f"--{name}": value for name, value in _shortcuts(options).items()}
    named |= {"DATA": options.data, "--model": options.model, "--weights": options.weights, "--config": options.config}
    named |= {"--arch": options.arch}
    named |= {"--set": options.changes or None, "--out": options.out, "--evolve": options.evolve}
    if given := [name for name, value in named.items() if value is not None]:
        raise InputError(f"--resume goes on as the training began: expected it alone, found {', '.join(given)} too")


def _change(text: str) -> tuple[str, Any]:
    """Return the name and the value of a setting given by --set; raises InputError."""
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set expects KEY=VALUE such as mosaic=0.5, got {shown(text)}")
    try:
        return key, parse_yaml(value)
    except ValueError:
        raise InputError(f"--set expects KEY=VALUE such as mosaic=0.5, got {shown(text)}") from None


def _evolve(inputs: TrainRun, data: Dataset, options: TrainOptions, count: int) -> int:
    """Train `count` times, and print the best settings and the file that holds them; returns the exit code.

    Raises InputError without validation.
    """
    if not data.val:
        raise InputError(f"{data.path}: expected validation images, which an evolution is decided by, found none")
    if not inputs.settings.val:
        raise InputError("val: expected true for an evolution, which is decided by the validation, found false")
    out, stop = _out(options, "evolve"), Stop(options.minutes)
    require_distinct(_files_read(options), {"--out": [out / BEST]})
    population: list[Individual] = []
    with stop:
        for individual in evolve(inputs, out, _Fitness(data, out, options.device, stop), count):
            population.append(individual)
            # It will not be resumed, and there will be many.
            for name in (STATE, "last.safetensors"):
                (out / str(individual.number) / name).unlink(missing_ok=True)
    if population:
        stdout.print(_evolution_table(population))
        stderr.print(f"the best settings are in {out / BEST}, for --config", markup=False, soft_wrap=True)
    if len(population) == count:
        return 0
    stderr.print(f"stopped; the same command with --out {out} goes on", markup=False, soft_wrap=True)
    return stop.exit_code


@dataclass(frozen=True, slots=True)
class _Fitness:
    """Trains individuals, each in a folder of `out` that is named by its number; that of the best epoch counts."""

    data: Dataset
    out: Path
    device: str
    stop: Stop

    def __call__(self, run: TrainRun, number: int) -> float | None:
        """Return the fitness of the best epoch of a training, 0 if it diverged, None if it was stopped."""
        folder = self.out / str(number)
        if is_begun(folder):
            training = resume(run, self.data, folder, device=self.device)
        else:
            training, _ = start(run, self.data, folder, device=self.device)
        stderr.print(f"individual {number} in {folder}", markup=False, soft_wrap=True)
        try:
            with TrainProgress(run.settings.epochs) as progress:
                if not training.run(progress.update, should_stop=self.stop):
                    return None
        except DivergedError as error:
            stderr.print(f"{error}; counts as mAP 0", markup=False, soft_wrap=True)
            return 0.0
        best = training.position.best
        return best.fitness if best else 0.0


def _evolution_table(population: Sequence[Individual]) -> Table:
    """Return a table of the settings of the first individual and of the best ones."""
    best = sorted(population, key=lambda individual: -individual.fitness)[:_MOST_INDIVIDUALS]
    shown = [population[0], *(individual for individual in best if individual.number)]
    rows = table("individual", *(str(individual.number) for individual in shown), left=("individual",))
    rows.add_row("fitness", *(f"{100 * individual.fitness:.1f}" for individual in shown))
    for name in RANGES:
        rows.add_row(name, *(f"{getattr(individual.settings, name):.4g}" for individual in shown))
    return rows
