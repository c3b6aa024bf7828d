"""``streamdet train --evolve`` as a user meets it."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from streamdet.cli.train_record import TrainProgress
from streamdet.train.config import read_train_config
from streamdet.train.evolve import Individual
from streamdet.train.loop import BatchReport, DivergedError, Training

from .rectangles import write_data_file, write_data_set
from .small_training import SETTINGS, write_small_table

pytest.importorskip("optuna")

Evolve = Callable[..., str]


@pytest.fixture
def evolution(streamdet: Callable[..., str], tmp_path: Path) -> Evolve:
    """Evolve the settings of the small model, an epoch each, in the folder ``out``."""
    write_small_table(tmp_path)
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(SETTINGS.model_dump()))

    def run(count: int, *options: object, val: int = 4, code: int = 0) -> str:
        data = write_data_file(write_data_set(tmp_path, 8, val=val))
        files = ("--model", tmp_path / "small.yaml", "--config", tmp_path / "settings.yaml", "--out", tmp_path / "out")
        return streamdet("train", data, *files, "--epochs", 1, "--evolve", count, *options, code=code)

    return run


def table(printed: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.strip()}


def test_individuals_are_trained_and_the_best_one_is_named(evolution: Evolve, tmp_path: Path) -> None:
    printed = evolution(2)
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["0", "1", "best.yaml", "evolution.db"]
    for number in ("0", "1"):
        # Nothing goes on with them: what a state takes would fill a disk.
        assert sorted(path.name for path in (out / number).iterdir()) == [
            "best.safetensors",
            "results.csv",
            "training.yaml",
        ]
    rows = table(printed)
    assert (rows["individual"], rows["lr0"][0]) == (["0", "1"], "0.01")
    assert len(rows["fitness"]) == 2
    assert f"the best settings are in {out / 'best.yaml'}" in printed
    assert read_train_config(out / "best.yaml", {}).epochs == 1


def test_an_interrupted_evolution_keeps_what_there_is_and_goes_on(
    evolution: Evolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    seen: list[BatchReport] = []

    def interrupted(progress: TrainProgress, report: BatchReport) -> None:
        seen.append(report)
        if len(seen) == report.batches + 1:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(TrainProgress, "update", interrupted)
        printed = evolution(3, code=130)
    assert table(printed)["individual"] == ["0"]
    assert f"stopped; the same command with --out {out} goes on" in printed
    assert (out / "1" / "state.pt").exists()
    stopped = (out / "1" / "training.yaml").read_text()

    trained: list[Path] = []
    run = Training.run

    def noted(training: Training, *arguments: object, **options: object) -> bool:
        trained.append(training.out)
        assert (training.position.batch > 0) == (training.out.name == "1")
        return run(training, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Training, "run", noted)
    printed = evolution(3)
    assert trained == [out / "1", out / "2"]
    assert (out / "1" / "training.yaml").read_text() == stopped
    assert sorted(table(printed)["individual"]) == ["0", "1", "2"]
    assert not (out / "1" / "state.pt").exists()


def test_the_settings_to_start_from_are_not_replaced_under_another_name(evolution: Evolve, tmp_path: Path) -> None:
    evolution(1)
    settings, best = tmp_path / "settings.yaml", tmp_path / "out" / "best.yaml"
    best.unlink()
    best.symlink_to(settings)
    before = settings.read_bytes()
    assert f"a file of its own for --out, but {best} is read as --config: {settings}" in evolution(2, code=2)
    assert settings.read_bytes() == before
    assert not (tmp_path / "out" / "1").exists()


def test_an_individual_that_diverges_is_the_worst(
    evolution: Evolve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverged(*_: object, **__: object) -> bool:
        raise DivergedError("the loss is nan in epoch 0, batch 1")

    monkeypatch.setattr(Training, "run", diverged)
    printed = evolution(1)
    assert "the loss is nan in epoch 0, batch 1; counts as mAP 0" in printed
    assert table(printed)["fitness"] == ["0.0"]


def test_without_time_nothing_is_lost(evolution: Evolve) -> None:
    assert "stopped; the same command" in evolution(1, "--minutes", 0, code=75)
    assert table(evolution(1))["individual"] == ["0"]


def test_without_validation_there_is_nothing_to_decide_by(evolution: Evolve, tmp_path: Path) -> None:
    printed = evolution(1, val=0, code=2)
    assert "expected validation images, which an evolution is decided by, found none" in printed
    printed = evolution(1, "--set", "val=false", code=2)
    assert "val: expected true for an evolution, which is decided by the validation, found false" in printed
    assert not (tmp_path / "out").exists()


def test_the_best_are_shown_beside_the_start(evolution: Evolve, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = [0.1, 0.5, 0.3, 0.6, 0.2]
    population = [Individual(number, SETTINGS, score) for number, score in enumerate(scores)]
    monkeypatch.setattr("streamdet.cli.train.evolve", lambda *_: iter(population))
    rows = table(evolution(len(scores)))
    assert rows["individual"] == ["0", "3", "1", "2"]
    assert rows["fitness"] == ["10.0", "60.0", "50.0", "30.0"]
