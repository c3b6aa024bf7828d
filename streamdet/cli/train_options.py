"""What the options of ``streamdet train`` mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from streamdet.cli.options import TrainOptions
from streamdet.errors import InputError
from streamdet.train.run import TrainRun, recorded
from streamdet.train.settings import read_settings


def told_run(options: TrainOptions) -> TrainRun:
    """Return what to train; raises InputError."""
    if options.resume is not None:
        _require_nothing_else(options)
        return recorded(options.resume)
    if options.data is None:
        raise InputError("expected a data file such as DATA.yaml, or --resume with the folder of a training")
    given = {name: value for name, value in _shortcuts(options).items() if value is not None}
    settings = read_settings(options.config, dict(map(_change, options.changes)) | given)
    return TrainRun(options.data, options.model, options.weights, settings)


def out_or(options: TrainOptions, name: str) -> Path:
    """Return the folder to write to, else the first of ``runs/NAME-1``, ``runs/NAME-2``, … that is not there."""
    if options.out is not None:
        return options.out
    number = 1
    while (folder := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return folder


def _shortcuts(options: TrainOptions) -> dict[str, int | None]:
    """Return the settings that have an option of their own, None where it was not given."""
    return {"epochs": options.epochs, "batch": options.batch, "imgsz": options.size}


def _require_nothing_else(options: TrainOptions) -> None:
    named: dict[str, object] = {f"--{name}": value for name, value in _shortcuts(options).items()}
    named |= {"DATA": options.data, "--model": options.model, "--weights": options.weights, "--config": options.config}
    named |= {"--set": options.changes or None, "--out": options.out, "--evolve": options.evolve}
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
