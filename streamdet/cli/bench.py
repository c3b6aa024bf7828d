"""``streamdet bench`` and ``streamdet doctor``: tables of what this machine does, and of what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import cv2
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from streamdet.bench import CAMERA_RATE_HZ, DetectorRate, StageCost, detector_rate, limit_of, read_frames, stage_costs
from streamdet.cli.console import stderr, stdout, table, warn
from streamdet.cli.options import BenchOptions
from streamdet.detect.detector import Detector
from streamdet.doctor import diagnose
from streamdet.errors import InputError
from streamdet.files import EMBEDDED_MODEL
from streamdet.inference.load import BACKENDS, possible_backends
from streamdet.machine import core_count
from streamdet.options import DetectOptions, PrecisionChoice

BATCHES = (1, 4, 16)


def run(options: BenchOptions) -> None:
    """Measure, and print the rates of all backends that are installed and the limits of runs with the best."""
    cv2.setNumThreads(1)  # as in a run
    frames, info, decoding = read_frames(options.source)
    height, width = frames[0].image.shape[:2]
    stdout.print(f"{options.source or 'noise'}: {width}x{height}, {len(frames)} frames; {core_count()} cores")
    detectors = list(_detectors(options))
    shown = track(detectors, "measuring", console=stderr, transient=True)
    rates = [detector_rate(detector, frames, options.seconds) for detector in shown]
    best = _best_by_size(rates)
    costs = {"decode": decoding} | stage_costs(detectors[rates.index(best[-1])], frames, info)
    stdout.print(_rates_table(rates), _limits_table(best, costs), sep="\n")


def _detectors(options: BenchOptions) -> Iterator[Detector]:
    """Yield every backend that can compute the model here in both precisions, as far as it knows them."""
    model, device = Path(options.model or EMBEDDED_MODEL), options.device
    found, problems = False, []
    names = [name for name in possible_backends(model, device) if find_spec(BACKENDS[name])]
    precisions: tuple[PrecisionChoice, ...] = ("auto", "half")
    for backend, size, precision in product(names, options.sizes, precisions):
        try:
            yield from _batches(
                partial(Detector, model, device=device, backend=backend, size=size, precision=precision)
            )
            found = True
        except InputError as error:
            # What fails in full precision fails in half too; that a processor has no 16-bit arithmetic needs no word.
            if precision != "half":
                problems.append(error)
                warn(f"{backend} at {size} is left out: {error}")
    if not found:
        raise problems[0] if problems else InputError(f"no backend that is installed can compute {model}")


def _batches(detector: Callable[..., Detector]) -> Iterator[Detector]:
    """Yield a detector for each of `BATCHES` that it takes; a CPU computes one image at a time."""
    for batch in BATCHES:
        made = detector(conf=DetectOptions.conf, batch=batch)
        if made.batch != batch:
            break
        yield made


def _rates_table(rates: Sequence[DetectorRate]) -> Table:
    table = Table("detector", "precision", "input", title="Detecting alone")
    for heading in ("batch", "frames/s", "CPU ms/frame"):
        table.add_column(heading, justify="right")
    for rate in rates:
        figures = str(rate.batch), f"{rate.rate_hz:.1f}", f"{rate.cpu_ms:.1f}"
        table.add_row(rate.backend, rate.precision, rate.size, *figures)
    return table


def _best_by_size(rates: Sequence[DetectorRate]) -> list[DetectorRate]:
    """Return the fastest of each input size, in the order in which sizes come."""
    sizes = dict.fromkeys(rate.size for rate in rates)
    return [max((rate for rate in rates if rate.size == size), key=lambda rate: rate.rate_hz) for size in sizes]


def _limits_table(best: Sequence[DetectorRate], costs: Mapping[str, StageCost]) -> Table:
    """Return what runs with the `best` detectors are limited to, by what they write."""
    stages = ", ".join(f"{name} {cost.cpu_ms:.1f}" for name, cost in costs.items() if cost.cpu_ms)
    table = Table("detector", "input", "writes", title=f"Whole runs; the other stages take, in CPU ms: {stages}")
    for heading in ("at most frames/s", "limited by", f"{CAMERA_RATE_HZ} fps cameras"):
        table.add_column(heading, justify="right")
    tracks_only = {name: cost for name, cost in costs.items() if name not in ("draw", "write")}
    for rate in best:
        for writes, beside in (("tracks", tracks_only), ("tracks and video", costs)):
            limit = limit_of(rate, beside)
            cells = rate.backend, rate.size, writes, f"{limit.rate_hz:.1f}", limit.bottleneck, str(limit.cameras)
            table.add_row(*cells)
    return table


_MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def print_diagnosis() -> bool:
    """Print every check with what it found and what to do about it; returns whether streamdet can work here."""
    checks = diagnose()
    rows = table("", "check", "found", "advice", left=("", "check", "found", "advice"))
    for check in checks:
        rows.add_row(_MARKS[check.status], *(escape(text) for text in (check.name, check.found, check.advice)))
    stdout.print(rows)
    return all(check.status != "fail" for check in checks)
