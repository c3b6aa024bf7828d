"""``streamdet train --evolve``: many trainings in folders of one, and what settings did best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from streamdet.cli.console import stderr, stdout
from streamdet.cli.options import TrainOptions
from streamdet.cli.table import table
from streamdet.cli.train_options import out_or
from streamdet.cli.train_progress import TrainProgress
from streamdet.cli.train_stop import Stop
from streamdet.data.spec import DataSpec
from streamdet.errors import InputError
from streamdet.train.evolve import RANGES, Individual, evolve
from streamdet.train.loop import DivergedError
from streamdet.train.run import TrainRun, is_begun, resume, start
from streamdet.train.state import STATE

_SHOWN = 3  # of the best, beside the start


def evolve_settings(told: TrainRun, data: DataSpec, options: TrainOptions, count: int) -> int:
    """Train `count` times, print the best settings and say where they lie; returns the exit code. Raises InputError."""
    if not data.val:
        raise InputError(f"{data.path}: expected validation images, which an evolution is decided by, found none")
    out, stop = out_or(options, "evolve"), Stop(options.minutes)
    population: list[Individual] = []
    with stop:
        for individual in evolve(told, out, _Fitness(data, out, options.device, stop), count):
            population.append(individual)
            # Nothing goes on with it, and there will be many.
            for name in (STATE, "last.safetensors"):
                (out / str(individual.number) / name).unlink(missing_ok=True)
    if population:
        stdout.print(_table(population))
        stderr.print(f"the best settings are in {out / 'best.yaml'}, for --config", markup=False, soft_wrap=True)
    if len(population) == count:
        return 0
    stderr.print(f"stopped; the same command with --out {out} goes on", markup=False, soft_wrap=True)
    return stop.exit_code


@dataclass(frozen=True, slots=True)
class _Fitness:
    """Trains individuals, each in the folder of its number in `out`."""

    data: DataSpec
    out: Path
    device: str
    stop: Stop

    def __call__(self, run: TrainRun, number: int) -> float | None:
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
        return best.map50_95 if best else 0.0


def _table(population: Sequence[Individual]) -> Table:
    """Return the settings to start from beside the best ones."""
    best = sorted(population, key=lambda individual: -individual.map50_95)[:_SHOWN]
    shown = [population[0], *(individual for individual in best if individual.number)]
    rows = table("individual", *(str(individual.number) for individual in shown), left=("individual",))
    rows.add_row("mAP50-95", *(f"{100 * individual.map50_95:.1f}" for individual in shown))
    for name in RANGES:
        rows.add_row(name, *(f"{getattr(individual.settings, name):.4g}" for individual in shown))
    return rows
