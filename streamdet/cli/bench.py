"""``streamdet bench``: tables of the rates of all backends on this machine, and of the limits of whole runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import cv2
from rich.progress import track
from rich.table import Table

from streamdet.bench import CAMERA_RATE_HZ, DetectorRate, StageCost, detector_rate, read_frames, run_limit, stage_costs
from streamdet.cli.console import stderr, stdout, warn
from streamdet.cli.options import BenchOptions
from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.files import EMBEDDED_MODEL
from streamdet.inference.load import BACKENDS, possible_backends
from streamdet.machine import core_count
from streamdet.options import DetectOptions, PrecisionChoice

BATCHES = (1, 4, 16)


def run(options: BenchOptions) -> None:
    """Measure all installed backends, and print their rates and the limits of whole runs with the fastest ones."""
    cv2.setNumThreads(1)  # as in a run
    frames, info, decoding = read_frames(options.source)
    height, width = frames[0].image.shape[:2]
    shown = f"{options.source or 'noise'}: {width}x{height}, {len(frames)} frames; {core_count()} cores"
    stdout.print(shown, markup=False)
    detectors = list(_detectors(options))
    with_bar = track(detectors, "measuring", console=stderr, transient=True)
    rates = [detector_rate(detector, frames, options.seconds) for detector in with_bar]
    best = _best_by_size(rates)
    costs = {"decode": decoding} | stage_costs(detectors[rates.index(best[-1])], frames, info)
    stdout.print(_rates_table(rates), _limits_table(best, costs), sep="\n")


def _detectors(options: BenchOptions) -> Iterator[Detector]:
    """Yield detectors of every installed backend, input size, precision and batch size that work here.

    Raises InputError when none does.
    """
    model, device = Path(options.model or EMBEDDED_MODEL), options.device
    found, problems = False, []
    names = [name for name in possible_backends(model, device) if find_spec(BACKENDS[name])]
    precisions: tuple[PrecisionChoice, ...] = ("auto", "half")
    for backend, size, precision in product(names, options.sizes, precisions):
        try:
            load = partial(Detector, model, device=device, backend=backend, size=size, precision=precision)
            yield from _batches(partial(load, arch=options.arch))
            found = True
        except InputError as error:
            # An error of half precision alone is no problem: the processor has no 16-bit arithmetic. Other errors
            # have been reported for full precision already.
            if precision != "half":
                problems.append(error)
                warn(f"{backend} at {size} is left out: {error}")
    if not found:
        raise problems[0] if problems else InputError(f"no backend that is installed can compute {model}")


def _batches(load: Callable[..., Detector]) -> Iterator[Detector]:
    """Yield a detector for each of `BATCHES` that the device supports; a CPU computes one image at a time."""
    for batch in BATCHES:
        detector = load(conf=DetectOptions.conf, batch=batch)
        if detector.batch != batch:
            break
        yield detector


def _rates_table(rates: Sequence[DetectorRate]) -> Table:
    rows = Table("detector", "precision", "input", title="Detecting alone")
    for heading in ("batch", "frames/s", "CPU ms/frame"):
        rows.add_column(heading, justify="right")
    for rate in rates:
        figures = str(rate.batch), f"{rate.rate_hz:.1f}", f"{rate.cpu_ms:.1f}"
        rows.add_row(rate.backend, rate.precision, rate.size, *figures)
    return rows


def _best_by_size(rates: Sequence[DetectorRate]) -> list[DetectorRate]:
    """Return the fastest detector of each input size, in the order of the sizes in `rates`."""
    sizes = dict.fromkeys(rate.size for rate in rates)
    return [max((rate for rate in rates if rate.size == size), key=lambda rate: rate.rate_hz) for size in sizes]


def _limits_table(best: Sequence[DetectorRate], costs: Mapping[str, StageCost]) -> Table:
    """Return the limits of runs with the `best` detectors that write tracks, or tracks and video."""
    stages = ", ".join(f"{name} {cost.cpu_ms:.1f}" for name, cost in costs.items() if cost.cpu_ms)
    rows = Table("detector", "input", "writes", title=f"Whole runs; the other stages take, in CPU ms: {stages}")
    for heading in ("at most frames/s", "limited by", f"{CAMERA_RATE_HZ} fps cameras"):
        rows.add_column(heading, justify="right")
    tracks_only = {name: cost for name, cost in costs.items() if name not in ("draw", "write")}
    for rate in best:
        for writes, other_stages in (("tracks", tracks_only), ("tracks and video", costs)):
            limit = run_limit(rate, other_stages)
            cells = rate.backend, rate.size, writes, f"{limit.rate_hz:.1f}", limit.bottleneck, str(limit.cameras)
            rows.add_row(*cells)
    return rows
