"""``streamdet train``: checks the data, then trains one network, or evolves settings by training many."""

from __future__ import annotations

from dataclasses import replace

from streamdet.cli.console import stderr, warn
from streamdet.cli.data_report import checked, print_data_report
from streamdet.cli.evolve import evolve_settings
from streamdet.cli.options import TrainOptions
from streamdet.cli.train_options import out_or, told_run
from streamdet.cli.train_progress import TrainProgress
from streamdet.cli.train_record import TrainRecord
from streamdet.cli.train_stop import Stop
from streamdet.data.check import DataReport
from streamdet.data.spec import DataSpec
from streamdet.errors import InputError
from streamdet.train.distributed import Process, joined_process
from streamdet.train.loop import Training
from streamdet.train.run import TrainRun, read_data, resume, start
from streamdet.train.state import EpochRow


def run(options: TrainOptions) -> int:
    """Check the data and train to the end, or until Ctrl-C, SIGTERM or the time limit; returns the exit code."""
    told = told_run(options)
    with joined_process(options.device) as process:
        report = checked(read_data(told))
        if process.is_first:
            print_data_report(report)
        if options.check:
            return 0
        data = _usable(report)
        if options.evolve is not None:
            if process.world > 1:
                raise InputError(f"expected one process for --evolve, found {process.world}: start it without torchrun")
            return evolve_settings(told, data, options, options.evolve)
        training = _begin(told, data, options, process)
        return _train(training, report, Stop(options.minutes))


def _usable(report: DataReport) -> DataSpec:
    """Return the data without what is broken; raises InputError when nothing to train with is left."""
    data = replace(report.spec, train=report.usable("train"), val=report.usable("val"))
    if not data.train:
        raise InputError(f"{data.path}: expected images to train with, and none of those it names can be used")
    return data


def _begin(told: TrainRun, data: DataSpec, options: TrainOptions, process: Process) -> Training:
    if options.resume:
        training = resume(told, data, options.resume, device=options.device, process=process)
        if process.is_first:
            stderr.print(f"going on after {training.position.epoch} of {told.settings.epochs} epochs", markup=False)
        return training
    training, taken = start(told, data, out_or(options, "train"), device=options.device, process=process)
    if told.weights and process.is_first:
        stderr.print(
            f"{taken} tensors come from {told.weights}, the rest starts at random", markup=False, soft_wrap=True
        )
    if not data.val and process.is_first:
        warn(f"{told.data} names no validation images: nothing says which epoch was best")
    return training


def _train(training: Training, report: DataReport, stop: Stop) -> int:
    is_first = training.process.is_first
    record = TrainRecord(training, report) if is_first else None
    with stop, TrainProgress(training.settings.epochs, speaks=is_first) as progress:
        is_done = training.run(progress.update, record.add if record else _nothing, stop)
    if record:
        record.close()
        _say_end(training, is_done)
    return 0 if is_done else stop.exit_code


def _nothing(row: EpochRow) -> None:
    """What the processes beside the first make of an epoch."""


def _say_end(training: Training, is_done: bool) -> None:
    best, weights = training.position.best, training.out / "best.safetensors"
    if best is not None:
        scores = f"mAP50-95 {100 * best.map50_95:.1f}, mAP50 {100 * best.map50:.1f}"
        stderr.print(f"best epoch {best.epoch + 1}: {scores}; weights in {weights}", markup=False, soft_wrap=True)
    elif weights.exists():
        stderr.print(f"weights in {weights}", markup=False, soft_wrap=True)
    if not is_done:
        stderr.print(f"stopped; go on with: streamdet train --resume {training.out}", markup=False, soft_wrap=True)
