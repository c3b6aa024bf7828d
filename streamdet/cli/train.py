"""``streamdet train``: what the options mean, and what a user sees while a network learns."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streamdet.cli.console import stderr, warn
from streamdet.cli.data_report import checked, print_data_report
from streamdet.cli.train_record import TrainRecord
from streamdet.dataset.check import DataReport
from streamdet.errors import InputError
from streamdet.train.distributed import Process, joined_process
from streamdet.train.loop import BatchReport, Training
from streamdet.train.run import TrainRun, read_data, recorded, resume, start
from streamdet.train.settings import TrainSettings, read_settings
from streamdet.train.state import EpochRow

STOPPED = 75  # exit code of a training that its time limit ended: call again to go on


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What the user asked for; `resumed` is the folder of a training to go on with, and then decides the rest."""

    data: Path | None
    model: str | None
    weights: Path | None
    config: Path | None
    changes: list[str]
    out: Path | None
    resumed: Path | None
    device: str
    minutes: float | None
    only_checks: bool = False


def run(options: TrainOptions, shortcuts: dict[str, Any]) -> int:
    """Check the data and train to the end, or until Ctrl-C, SIGTERM or the time limit; returns the exit code."""
    told = recorded(options.resumed) if options.resumed else _told(options, shortcuts)
    with joined_process() as process:
        report = checked(read_data(told))
        if process.is_first:
            print_data_report(report)
        if options.only_checks:
            return 0
        training = _begin(told, report, options, process)
        record = TrainRecord(training, report) if process.is_first else None
        with _Stop(options.minutes) as stop, _TrainProgress(training.settings, process) as progress:
            is_done = training.run(progress.update, record.add if record else _nothing, stop)
        if record:
            record.close()
            _say_end(training, is_done)
        if is_done:
            return 0
        return STOPPED if stop.received is None else 128 + stop.received


def _nothing(row: EpochRow) -> None:
    """What the processes beside the first make of an epoch."""


def _told(options: TrainOptions, shortcuts: dict[str, Any]) -> TrainRun:
    if options.data is None:
        raise InputError("expected a data file such as DATA.yaml, or --resume with the folder of a training")
    changes = dict(_change(text) for text in options.changes)
    given = {name: value for name, value in shortcuts.items() if value is not None}
    return TrainRun(options.data, options.model, options.weights, read_settings(options.config, changes | given))


def _begin(told: TrainRun, report: DataReport, options: TrainOptions, process: Process) -> Training:
    data = replace(report.spec, train=report.usable("train"), val=report.usable("val"))
    if not data.train:
        raise InputError(f"{told.data}: expected images to train with, and none of those it names can be used")
    if options.resumed:
        training = resume(told, data, options.resumed, device=options.device, process=process)
        stderr.print(f"going on at epoch {training.position.epoch + 1}", markup=False)
        return training
    training, taken = start(told, data, options.out or _free_folder(), device=options.device, process=process)
    if told.weights and process.is_first:
        stderr.print(f"{taken} tensors come from {told.weights}, the rest starts at random", markup=False)
    if not data.val and process.is_first:
        warn(f"{told.data} names no validation images: nothing says which epoch was best")
    return training


def _say_end(training: Training, is_done: bool) -> None:
    best = training.position.best
    if best is not None:
        scores = f"mAP50-95 {100 * best.map50_95:.1f}, mAP50 {100 * best.map50:.1f}"
        stderr.print(f"best epoch {best.epoch + 1}: {scores}; weights in {training.out / 'best.safetensors'}")
    if not is_done:
        stderr.print(f"stopped; go on with: streamdet train --resume {training.out}", markup=False, soft_wrap=True)


def _free_folder() -> Path:
    number = 1
    while (folder := Path("runs") / f"train-{number}").exists():
        number += 1
    return folder


def _change(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set expects KEY=VALUE such as mosaic=0.5, got {text!r}")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise InputError(f"--set expects KEY=VALUE such as mosaic=0.5, got {text!r}") from None


class _Stop:
    """Says when to stop: after a signal, or when the time is up."""

    def __init__(self, minutes: float | None) -> None:
        self.received: int | None = None
        self._ends_at = None if minutes is None else time.monotonic() + 60 * minutes

    def __call__(self) -> bool:
        return self.received is not None or (self._ends_at is not None and time.monotonic() >= self._ends_at)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        # A second signal ends the process at once: the state on disk is whole at any moment.
        signal.signal(number, signal.SIG_DFL)

    def __enter__(self) -> _Stop:
        self._previous = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


class _TrainProgress:
    """A bar for each epoch on a terminal; a line at the end of each epoch elsewhere."""

    def __init__(self, settings: TrainSettings, process: Process) -> None:
        self._settings, self._is_first = settings, process.is_first
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        shown = stderr.is_terminal and process.is_first
        self._progress = Progress(*columns, console=stderr, refresh_per_second=2, disable=not shown)
        self._task = self._progress.add_task("training")

    def update(self, report: BatchReport) -> None:
        """Account one batch."""
        box, cls, dfl = report.parts
        line = f"epoch {report.epoch + 1}/{self._settings.epochs}  box {box:.3f}  cls {cls:.3f}  dfl {dfl:.3f}"
        self._progress.update(self._task, completed=report.batch, total=report.batches, description=line)
        if self._is_first and not stderr.is_terminal and report.batch == report.batches:
            stderr.print(line, markup=False)

    def __enter__(self) -> _TrainProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
