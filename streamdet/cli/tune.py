"""``streamdet tune``: searches a tracker's settings on labelled sequences and writes them as a YAML file."""

from __future__ import annotations

import signal
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import streamdet
from streamdet.cli.console import stderr, stdout, warn
from streamdet.cli.interrupt import SIGNALS, set_handler
from streamdet.cli.options import TuneOptions
from streamdet.evaluate.mot import MotScores, SequenceScores
from streamdet.evaluate.sequences import sequence_folders
from streamdet.output_file import require_distinct
from streamdet.tracking.config import read_tracker
from streamdet.tune.search import Trial
from streamdet.tune.sequences import detections_file, read_labelled
from streamdet.tune.tuning import Tuning, require_writable, tune, write_tracker

_PARTS = {None: "all frames", "train": "first halves", "val": "second halves"}
_OTHER_PARTS = {"train": _PARTS["val"], "val": _PARTS["train"]}


def run(options: TuneOptions) -> int:
    """Tune, write the tracker and print the gain; returns the exit code, 130 after Ctrl-C."""
    config = read_tracker(options.tracker)
    require_writable(options.out)
    require_distinct(_files_read(options), {"--out": [options.out]})
    sequences = read_labelled(options.ground_truth, options.detections, options.sequences)
    for sequence in sequences:
        if sequence.note:
            warn(sequence.note)
    # SIGTERM and SIGHUP end the search like Ctrl-C, so that the best settings so far are written.
    for number in SIGNALS:
        set_handler(number, signal.default_int_handler)
    with _TuneProgress(options.trials) as progress:
        tuning = tune(
            config,
            sequences,
            half=options.half,
            trials=options.trials,
            timeout_s=float("inf") if options.timeout_s is None else options.timeout_s,
            seed=options.seed,
            jobs=options.jobs,
            on_trial=progress.update,
        )
    write_tracker(options.out, tuning.best.config, _comment(tuning, options))
    _report(tuning, options)
    return 128 + signal.SIGINT if tuning.interrupted else 0


def _files_read(options: TuneOptions) -> dict[str, list[Path]]:
    """Return the files that the search reads, by what names them on the command line."""
    folders = sequence_folders(options.ground_truth, options.sequences)
    names = ("gt/gt.txt", "seqinfo.ini", "gmc.txt")
    return {
        "SOURCE": [path for folder in folders for path in map(folder.joinpath, names)],
        "--detections": [detections_file(folder, options.detections) for folder in folders],
        "--tracker": [Path(options.tracker)],
    }


class _TuneProgress:
    """Shows a bar of trials with the best HOTA so far, nothing if stderr is no terminal."""

    def __init__(self, trials: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=stderr, refresh_per_second=4, disable=not stderr.is_terminal)
        self._task = self._progress.add_task("scoring the present settings", total=trials)
        self._start = self._best = 0.0

    def update(self, trial: Trial) -> None:
        """Show the score of a trial."""
        if trial.number == 0:
            self._start = trial.hota
        self._best = max(self._best, trial.hota)
        description = f"best HOTA {self._best:.2f} (at the start {self._start:.2f})"
        self._progress.update(self._task, advance=1, description=description)

    def __enter__(self) -> _TuneProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _comment(tuning: Tuning, options: TuneOptions) -> list[str]:
    """Return the lines of the comment in the written file: how it was found, and its scores."""
    names = ", ".join(tuning.start.scores.sequences)
    lines = [
        f"Found by streamdet tune {streamdet.__version__} in {tuning.trials} trials, seed {options.seed}.",
        f"Tuned on {_PARTS[options.half]} of {names}:",
        *_before_and_after(tuning.start.scores, tuning.best.scores),
    ]
    if options.half and tuning.held_out:
        lines += [f"Not tuned on, {_OTHER_PARTS[options.half]}:", *_before_and_after(*tuning.held_out)]
    return lines


def _before_and_after(before: MotScores, after: MotScores) -> list[str]:
    return [
        f"  {when} HOTA {score.hota:.2f}  MOTA {score.mota:.2f}  IDF1 {score.idf1:.2f}  id switches {score.id_switches}"
        for when, score in (("before", before.combined), ("after ", after.combined))
    ]


def _report(tuning: Tuning, options: TuneOptions) -> None:
    """Print the scores and the settings before and after."""
    stdout.print(_scores_table(_PARTS[options.half], tuning.start.scores, tuning.best.scores))
    if options.half and tuning.held_out:
        before, after = tuning.held_out
        stdout.print(_scores_table(f"{_OTHER_PARTS[options.half]}, not tuned on", before, after))
        if after.combined.hota < before.combined.hota:
            warn("what was gained does not hold on the frames that were not tuned on: label more, or tune fewer trials")
    if tuning.best is tuning.start:
        stdout.print(f"no other of {tuning.trials} trials was better: the settings are as before")
    else:
        stdout.print(_settings_table(tuning))
    stderr.print("wrote ", options.out, sep="")


def _scores_table(title: str, before: MotScores, after: MotScores) -> Table:
    table = Table(title, box=None, pad_edge=False, header_style="bold")
    for heading in ("HOTA", "MOTA", "IDF1", "id switches"):
        table.add_column(heading, justify="right")
    rows = [(name, score, after.sequences[name]) for name, score in before.sequences.items()]
    for name, old, new in [*rows, ("all", before.combined, after.combined)]:
        table.add_row(escape(name), *_changes(old, new))
    return table


def _changes(old: SequenceScores, new: SequenceScores) -> list[str]:
    """Return the main scores, each as ``before > after``."""
    percents = [f"{getattr(old, name):.2f} > {getattr(new, name):.2f}" for name in ("hota", "mota", "idf1")]
    return [*percents, f"{old.id_switches} > {new.id_switches}"]


def _settings_table(tuning: Tuning) -> Table:
    table = Table("setting", "before", "after", box=None, pad_edge=False, header_style="bold")
    after = asdict(tuning.best.config.settings)
    for name, old in asdict(tuning.start.config.settings).items():
        if after[name] != old:
            table.add_row(name, str(old), str(after[name]))
    return table
