"""The state of a training on disk.

It is written atomically: after a kill at any moment the file holds the previous state or the new one.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from streamdet.errors import InputError, OutputError, shown
from streamdet.files import replacing

STATE = "state.pt"  # in the folder of a training


@dataclass(frozen=True, slots=True)
class EpochRow:
    """A row of ``results.csv``: the mean loss parts of an epoch, the scores of the averaged weights, the rate.

    `map50_95` and `map50` are in [0, 1], nan without validation images; `dfl` is objectness in models with anchors.
    """

    epoch: int
    box: float
    cls: float
    dfl: float
    map50_95: float
    map50: float
    lr: float


@dataclass(slots=True)
class Position:
    """The progress of a training: the next `batch` of `epoch`, the loss `sums` of this epoch, the finished epochs."""

    epoch: int = 0
    batch: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    history: list[EpochRow] = field(default_factory=list)

    @property
    def best(self) -> EpochRow | None:
        """The finished epoch with the highest mAP50-95, the earliest of equals; None when no epoch was scored."""
        scored = [row for row in self.history if not math.isnan(row.map50_95)]
        return max(scored, key=lambda row: row.map50_95, default=None)


def save_state(path: Path, position: Position, settings: dict[str, Any], tensors: dict[str, Any]) -> None:
    """Write the state to `path` atomically; raises OutputError when it cannot be written."""
    try:
        with replacing(path) as partial:
            torch.save({"position": asdict(position), "settings": settings, "tensors": tensors}, partial)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{path}: the state of the training cannot be written: {error}") from None


def load_state(path: Path, settings: dict[str, Any]) -> tuple[Position, dict[str, Any]]:
    """Return the position and the tensors in the file `path`.

    Raises InputError if it is not a state, or one that was saved with other `settings`.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        stated, found, tensors = state["position"], dict(state["settings"]), state["tensors"]
        position = Position(**stated | {"history": [EpochRow(**row) for row in stated["history"]]})
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path}: expected the state of a training, but it cannot be read: {reason}") from None
    except Exception:  # a damaged pickle can raise any
        raise InputError(f"{path}: expected the state of a training, found a damaged file or another one") from None
    for key, value in settings.items():
        if found.get(key) != value:
            raise InputError(
                f"{path}: the training began with {key} {shown(found.get(key))}, which is now {shown(value)}"
            )
    return position, tensors


def write_history(path: Path, history: list[EpochRow]) -> None:
    """Write the finished epochs to `path` as CSV; raises OutputError when it cannot be written."""
    names = list(EpochRow.__dataclass_fields__)
    lines = [",".join(names), *(",".join(f"{getattr(row, name):.6g}" for name in names) for row in history)]
    try:
        with replacing(path) as partial:
            partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: the epochs cannot be written: {error.strerror}") from None
