"""Evolves hyper-parameters: many short trainings, of which the best pass their settings on, changed a little.

The search is Optuna's genetic algorithm (NSGA-II, Deb et al., IEEE TEC 2002) on one objective, the best mAP50-95. Its
population lies in a database, so that an evolution that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from streamdet.errors import InputError, MissingExtraError
from streamdet.train.run import TrainRun
from streamdet.train.settings import TrainSettings

if TYPE_CHECKING:
    import optuna

_POPULATION = 10


class _Range(NamedTuple):
    low: float
    high: float
    log: bool = False


# What is evolved, within the ranges that YOLOv5 and YOLOv8 publish for it.
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

# Trains with the settings in a folder of that number, and returns the best mAP50-95 in [0, 1].
Fitness = Callable[[TrainRun, int], float]


@dataclass(frozen=True, slots=True)
class Individual:
    """One training of an evolution: `number` from 0, which has the settings to start from."""

    number: int
    settings: TrainSettings
    map50_95: float


def evolve(run: TrainRun, out: Path, fitness: Fitness, count: int) -> Iterator[Individual]:
    """Yield `count` individuals, those of an earlier call in the same folder included but not trained again.

    The best settings so far lie in ``best.yaml``. Raises InputError when `run` has no single value to start from,
    MissingExtraError without Optuna.
    """
    study = _study(run, out)
    for trial in study.get_trials(deepcopy=False)[:count]:
        if trial.value is not None:
            yield Individual(trial.number, _with(run.settings, trial.params), trial.value)
    while len(study.get_trials(deepcopy=False)) < count:
        asked = study.ask(_space())
        settings = _with(run.settings, asked.params)
        value = fitness(replace(run, settings=settings), asked.number)
        study.tell(asked, value)
        best = _with(run.settings, study.best_params).model_dump()
        (out / "best.yaml").write_text(yaml.safe_dump(best, sort_keys=False), encoding="utf-8")
        yield Individual(asked.number, settings, value)


def _study(run: TrainRun, out: Path) -> optuna.Study:
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("optuna", "tune") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    out.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{out / 'evolution.db'}",
        study_name="evolution",
        sampler=optuna.samplers.NSGAIISampler(population_size=_POPULATION, seed=run.settings.seed),
        direction="maximize",
        load_if_exists=True,
    )
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial({name: _inside(name, getattr(run.settings, name)) for name in RANGES})
    return study


def _inside(name: str, value: float) -> float:
    low, high, _ = RANGES[name]
    if not low <= value <= high:
        raise InputError(f"{name} evolves between {low} and {high}, expected a start in that range, found {value}")
    return value


def _space() -> dict[str, Any]:
    from optuna.distributions import FloatDistribution

    return {name: FloatDistribution(low, high, log=log) for name, (low, high, log) in RANGES.items()}


def _with(settings: TrainSettings, params: dict[str, Any]) -> TrainSettings:
    return TrainSettings.model_validate(settings.model_dump() | params)
