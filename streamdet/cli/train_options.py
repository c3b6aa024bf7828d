"""What the options of ``streamdet train`` mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streamdet.errors import InputError
from streamdet.train.run import TrainRun, recorded
from streamdet.train.settings import read_settings


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What the user asked for.

    `shortcuts` are settings that have an option of their own, None where it was not given; `resumed` is the folder of a
    training to go on with, which then decides all the rest; `individuals` is how many trainings an evolution takes.
    """

    data: Path | None
    model: str | None
    weights: Path | None
    config: Path | None
    changes: list[str]
    shortcuts: dict[str, Any]
    out: Path | None
    resumed: Path | None
    device: str
    minutes: float | None
    individuals: int | None = None
    only_checks: bool = False

    def run(self) -> TrainRun:
        """Return what to train; raises InputError."""
        if self.resumed is not None:
            self._require_nothing_else()
            return recorded(self.resumed)
        if self.data is None:
            raise InputError("expected a data file such as DATA.yaml, or --resume with the folder of a training")
        given = {name: value for name, value in self.shortcuts.items() if value is not None}
        settings = read_settings(self.config, dict(map(_change, self.changes)) | given)
        return TrainRun(self.data, self.model, self.weights, settings)

    def out_or(self, name: str) -> Path:
        """Return the folder to write to, else the first of ``runs/NAME-1``, ``runs/NAME-2``, … that is not there."""
        if self.out is not None:
            return self.out
        number = 1
        while (folder := Path("runs") / f"{name}-{number}").exists():
            number += 1
        return folder

    def _require_nothing_else(self) -> None:
        named: dict[str, object] = {f"--{name}": value for name, value in self.shortcuts.items()}
        named |= {"DATA": self.data, "--model": self.model, "--weights": self.weights, "--config": self.config}
        named |= {"--set": self.changes or None, "--out": self.out, "--evolve": self.individuals}
        if given := [name for name, value in named.items() if value is not None]:
            raise InputError(f"--resume goes on as the training began: expected it alone, found {', '.join(given)} too")


def _change(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set expects KEY=VALUE such as mosaic=0.5, got {text!r}")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise InputError(f"--set expects KEY=VALUE such as mosaic=0.5, got {text!r}") from None
