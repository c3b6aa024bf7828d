"""An evolution without a network: what is asked for, what is inherited, and what an end in its middle changes."""

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from streamdet.errors import InputError, MissingExtraError
from streamdet.train.config import TrainConfig, read_train_config
from streamdet.train.evolve import RANGES, Individual, evolve
from streamdet.train.run import TrainRun

pytest.importorskip("optuna")

RUN = TrainRun(Path("data.yaml"), "yolov8n", None, TrainConfig(epochs=7, seed=3, lr0=0.03))
COUNT = 3


def score(run: TrainRun, number: int) -> float:
    """Best at a rate of 0.001 and few shifts."""
    return 1 / (1 + math.log10(run.settings.lr0 / 0.001) ** 2 + 4 * run.settings.translate)


def ended_at(last: int, how: Callable[[], float | None]) -> Callable[[TrainRun, int], float | None]:
    """Scores individuals until one is ended."""

    def fitness(run: TrainRun, number: int) -> float | None:
        return how() if number == last else score(run, number)

    return fitness


def stop() -> float | None:
    return None


def kill() -> float | None:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Individual]:
    return list(evolve(RUN, tmp_path_factory.mktemp("undisturbed") / "out", score, COUNT))


def test_it_starts_with_what_it_was_told(undisturbed: list[Individual]) -> None:
    assert [individual.number for individual in undisturbed] == list(range(COUNT))
    assert undisturbed[0].settings == RUN.settings
    for individual in undisturbed:
        assert individual.fitness == score(replace(RUN, settings=individual.settings), individual.number)


def test_only_what_evolves_changes_and_within_its_range(undisturbed: list[Individual]) -> None:
    fixed = RUN.settings.model_dump(exclude=set(RANGES))
    for one, other in pairwise(undisturbed):
        assert other.settings.model_dump(exclude=set(RANGES)) == fixed
        values = other.settings.model_dump(include=set(RANGES))
        assert all(RANGES[name].low <= value <= RANGES[name].high for name, value in values.items())
        assert one.settings != other.settings


def test_the_best_settings_can_be_trained_with(tmp_path: Path) -> None:
    found: list[Individual] = []
    for individual in evolve(RUN, tmp_path / "out", score, COUNT):
        found.append(individual)
        best = max(found, key=lambda each: each.fitness)
        assert read_train_config(tmp_path / "out" / "best.yaml", {}) == best.settings


def test_the_best_pass_their_settings_on(tmp_path: Path) -> None:
    scores = [individual.fitness for individual in evolve(RUN, tmp_path / "out", score, 24)]
    assert np.median(scores[14:]) > np.median(scores[:10])
    assert max(scores[10:]) > max(scores[:10])


@pytest.mark.parametrize("last", range(COUNT))
def test_one_that_was_stopped_goes_on_as_if_it_had_not_been(
    undisturbed: list[Individual], tmp_path: Path, last: int
) -> None:
    before = list(evolve(RUN, tmp_path / "out", ended_at(last, stop), COUNT))
    assert before == undisturbed[:last]
    asked: list[int] = []

    def noted(run: TrainRun, number: int) -> float:
        asked.append(number)
        return score(run, number)

    assert list(evolve(RUN, tmp_path / "out", noted, COUNT)) == undisturbed
    assert asked == list(range(last, COUNT))


def test_one_that_was_killed_goes_on_with_what_it_was_at(undisturbed: list[Individual], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        list(evolve(RUN, tmp_path / "out", ended_at(1, kill), COUNT))
    assert list(evolve(RUN, tmp_path / "out", score, COUNT)) == undisturbed


def test_more_individuals_may_follow(undisturbed: list[Individual], tmp_path: Path) -> None:
    for count in (1, COUNT):
        assert list(evolve(RUN, tmp_path / "out", score, count)) == undisturbed[:count]


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (replace(RUN, model="yolov8s"), "began with model 'yolov8n', which is now 'yolov8s'"),
        (
            replace(RUN, settings=RUN.settings.model_copy(update={"epochs": 9})),
            "began with epochs 7, which is now 9",
        ),
    ],
)
def test_another_evolution_is_not_mixed_in(tmp_path: Path, now: TrainRun, message: str) -> None:
    list(evolve(RUN, tmp_path / "out", score, 1))
    with pytest.raises(InputError, match=f"out: the evolution {message}"):
        list(evolve(now, tmp_path / "out", score, 1))


def test_the_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a new folder, or one with the evolution\.db of an evolution"):
        list(evolve(RUN, tmp_path, score, 1))
    assert list(tmp_path.iterdir()) == []


def test_a_start_out_of_range_is_refused(tmp_path: Path) -> None:
    run = replace(RUN, settings=RUN.settings.model_copy(update={"momentum": 0.5}))
    with pytest.raises(InputError, match=r"momentum evolves between 0\.7 and 0\.98, .* found 0\.5"):
        list(evolve(run, tmp_path / "out", score, 1))
    assert not (tmp_path / "out").exists()


def test_without_optuna_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"streamdet\[tune\]"):
        list(evolve(RUN, tmp_path / "out", score, 1))
