"""Evolves hyper-parameters: many short trainings, of which the best pass their settings on, changed a little.

The search is Optuna's genetic algorithm (NSGA-II, Deb et al., IEEE TEC 2002) on one objective, the best mAP50-95. Its
population lies in a database, so that an evolution that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import yaml

from streamdet.errors import InputError, MissingExtraError
from streamdet.train.config import TrainConfig
from streamdet.train.run import TrainRun

if TYPE_CHECKING:
    import optuna

_POPULATION = 10
_DATABASE = "evolution.db"


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

# Trains as told, goes on with what it was at when it was ended, and returns the best mAP50-95 in [0, 1], None when it
# was stopped. The number is that of the individual.
Fitness = Callable[[TrainRun, int], float | None]


@dataclass(frozen=True, slots=True)
class Individual:
    """One training of an evolution: `number` from 0, which has the settings to start from."""

    number: int
    settings: TrainConfig
    map50_95: float


def evolve(run: TrainRun, out: Path, fitness: Fitness, count: int) -> Iterator[Individual]:
    """Yield `count` individuals, or as many as there are when `fitness` is stopped.

    Those of an earlier call in the same folder are yielded too but not trained again; the one at which it was ended is
    asked for again with the same settings. The best settings so far lie in ``best.yaml``. Raises InputError when
    evolved settings of `run` lie out of their range, or the folder `out` is of something else; MissingExtraError
    without Optuna.
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
        best = _with(run.settings, study.best_params).model_dump()
        (out / "best.yaml").write_text(yaml.safe_dump(best, sort_keys=False), encoding="utf-8")
        yield Individual(number, settings, value)


def _study(run: TrainRun, out: Path) -> optuna.Study:
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("optuna", "tune") from None
    start = {name: _inside(name, getattr(run.settings, name)) for name in RANGES}
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


def _require_same(run: TrainRun, stated: dict[str, Any] | None, out: Path) -> None:
    if stated is None:
        return
    now = run.to_json()
    began, told = stated | stated["settings"], now | now["settings"]
    for key in told.keys() - {"settings"}:
        if began.get(key) != told[key]:
            raise InputError(f"{out}: the evolution began with {key} {began.get(key)!r}, which is now {told[key]!r}")


def _trial(study: optuna.Study, run: TrainRun, number: int) -> optuna.trial.FrozenTrial:
    """Return the trial of that number, drawn if there is none yet."""
    from optuna.samplers import NSGAIISampler
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    if number == len(trials) or trials[number].state == TrialState.WAITING:
        # Seeded anew each time, an evolution that was ended goes on as if it had not been.
        seed = np.random.SeedSequence([run.settings.seed, number]).generate_state(1)
        study.sampler = NSGAIISampler(population_size=_POPULATION, seed=int(seed[0]))
        study.ask(_space())
    return study.get_trials(deepcopy=False)[number]


def _inside(name: str, value: float) -> float:
    low, high, _ = RANGES[name]
    if not low <= value <= high:
        raise InputError(f"{name} evolves between {low} and {high}, expected a start in that range, found {value}")
    return value


def _space() -> dict[str, Any]:
    from optuna.distributions import FloatDistribution

    return {name: FloatDistribution(low, high, log=log) for name, (low, high, log) in RANGES.items()}


def _with(settings: TrainConfig, params: dict[str, Any]) -> TrainConfig:
    return TrainConfig.model_validate(settings.model_dump() | params)
