"""Evolution of hyper-parameters: many short trainings, whose best settings are recombined and changed a little.

The search is Optuna's genetic algorithm (NSGA-II, Deb et al., IEEE TEC 2002) on one objective, the best mAP50-95. The
population is kept in a database, so that an evolution that was stopped can be continued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import yaml

from streamdet.errors import InputError, MissingExtraError, OutputError, shown
from streamdet.files import replacing
from streamdet.train.config import TrainConfig
from streamdet.train.run import TrainRun

if TYPE_CHECKING:
    import optuna

_POPULATION = 10
_DATABASE = "evolution.db"
BEST = "best.yaml"  # the best settings so far


class _Range(NamedTuple):
    low: float
    high: float
    log: bool = False


# The settings that evolve, within the ranges that YOLOv5 and YOLOv8 publish.
RANGES = {
    "lr0": _Range(1e-5, 1e-1, log=True),
    "lrf": _Range(1e-4, 1.0, log=True),
    "momentum": _Range(0.7, 0.98),
    "weight_decay": _Range(1e-6, 1e-1, log=True),
    "warmup_epochs": _Range(0.0, 5.0),
    "hsv_h": _Range(0.0, 0.1),
    "hsv_s": _Range(0.0, 0.9),
    "hsv_v": _Range(0.0, 0.9),
    "translate": _Range(0.0, 0.9),
    "scale": _Range(0.0, 0.95),
    "fliplr": _Range(0.0, 1.0),
    "mosaic": _Range(0.0, 1.0),
    "mixup": _Range(0.0, 1.0),
    "cutmix": _Range(0.0, 1.0),
}

# Trains a run for the individual of this number, resuming its training if one was begun, and returns the fitness of its
# best epoch, see `streamdet.train.state.EpochRow`, or None when the training was stopped.
Fitness = Callable[[TrainRun, int], float | None]


@dataclass(frozen=True, slots=True)
class Individual:
    """One training of an evolution; `number` counts from 0, the training with the start settings."""

    number: int
    settings: TrainConfig
    fitness: float


def evolve(run: TrainRun, out: Path, fitness: Fitness, count: int) -> Iterator[Individual]:
    """Yield `count` individuals, or fewer when `fitness` returns None.

    Individuals of an earlier call with the same folder `out` are yielded, too, but not trained again; the one that was
    not finished is trained with the same settings. The file `BEST` in `out` always holds the best settings so far.
    Raises InputError when a setting of `run` is out of its range in `RANGES`, or `out` exists and is not the folder of
    an evolution of the same `run`; MissingExtraError without Optuna.
    """
    study = _study(run, out)
    for number in range(count):
        trial = _trial(study, run, number)
        settings, value = _with(run.settings, trial.params), trial.value
        if value is None:
            value = fitness(replace(run, settings=settings), number)
            if value is None:
                return
            study.tell(number, value)
        _write_best(out / BEST, _with(run.settings, study.best_params))
        yield Individual(number, settings, value)


def _write_best(path: Path, settings: TrainConfig) -> None:
    """Write `settings` to `path` atomically; raises OutputError when they cannot be written."""
    try:
        with replacing(path) as partial:
            partial.write_text(yaml.safe_dump(settings.model_dump(), sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: the best settings cannot be written: {error.strerror}") from None


def _study(run: TrainRun, out: Path) -> optuna.Study:
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("optuna", "tune") from None
    start = {name: _in_range(name, getattr(run.settings, name)) for name in RANGES}
    if out.exists() and not (out / _DATABASE).exists():
        raise InputError(f"{out}: expected a new folder, or one with the {_DATABASE} of an evolution to go on with")
    out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{out / _DATABASE}", study_name="evolution", direction="maximize", load_if_exists=True
    )
    _require_same(run, study.user_attrs.get("run"), out)
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(start)
    study.set_user_attr("run", run.to_json())
    return study


def _in_range(name: str, value: float) -> float:
    low, high, _ = RANGES[name]
    if not low <= value <= high:
        raise InputError(f"{name} evolves between {low} and {high}, expected a start in that range, found {value}")
    return value


def _require_same(run: TrainRun, recorded: dict[str, Any] | None, out: Path) -> None:
    """Raise InputError if `run` differs from the one that the evolution in `out` began with, None for a new one."""
    if recorded is None:
        return
    current = run.to_json()
    began, now = recorded | recorded["settings"], current | current["settings"]
    for key in now.keys() - {"settings"}:
        if began.get(key) != now[key]:
            raise InputError(
                f"{out}: the evolution began with {key} {shown(began.get(key))}, which is now {shown(now[key])}"
            )


def _trial(study: optuna.Study, run: TrainRun, number: int) -> optuna.trial.FrozenTrial:
    """Return the trial of this number; its settings are drawn if it is new."""
    from optuna.distributions import FloatDistribution
    from optuna.samplers import NSGAIISampler
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    if number == len(trials) or trials[number].state == TrialState.WAITING:
        # Seeded by the number, so that an evolution that was stopped continues with the same settings.
        seed = np.random.SeedSequence([run.settings.seed, number]).generate_state(1)
        study.sampler = NSGAIISampler(population_size=_POPULATION, seed=int(seed[0]))
        study.ask({name: FloatDistribution(low, high, log=log) for name, (low, high, log) in RANGES.items()})
    return study.get_trials(deepcopy=False)[number]


def _with(settings: TrainConfig, params: dict[str, Any]) -> TrainConfig:
    return TrainConfig.model_validate(settings.model_dump() | params)
