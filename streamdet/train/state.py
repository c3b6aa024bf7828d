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
from streamdet.train.config import TrainConfig

STATE = "state.pt"  # in the folder of a training
_DECISIVE = ("map50_95", "top1")  # ends of the names of scores
_EARLIER_LOSSES, _EARLIER_SCORES = ("box", "cls", "dfl"), ("map50_95", "map50")


@dataclass(frozen=True, slots=True)
class EpochRow:
    """A row of ``results.csv``: the mean loss parts of an epoch, the scores of the averaged weights, the rate.

    `losses` are the parts by name, such as box, cls and dfl, or objectness in place of dfl in models with anchors.
    `scores` are those of the task by name, such as map50_95 and map50, in [0, 1], nan without validation images.
    """

    epoch: int
    losses: dict[str, float]
    scores: dict[str, float]
    lr: float

    @property
    def fitness(self) -> float:
        """What the best epoch has most of: mAP50-95, summed over boxes and what a task adds to them; or top-1."""
        return sum(score for name, score in self.scores.items() if name.endswith(_DECISIVE))

    def columns(self) -> dict[str, float]:
        """Return the numbers by the name of their column, the epoch first."""
        return {"epoch": self.epoch, **self.losses, **self.scores, "lr": self.lr}


@dataclass(slots=True)
class Position:
    """The progress of a training: the next `batch` of `epoch`, the loss `sums` of this epoch, the finished epochs.

    The sums are those of the loss parts by name, none before the first batch.
    """

    epoch: int = 0
    batch: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[EpochRow] = field(default_factory=list)

    @property
    def best(self) -> EpochRow | None:
        """The finished epoch of the highest fitness, the earliest of equals; None when no epoch was scored."""
        scored = [row for row in self.history if not math.isnan(row.fitness)]
        return max(scored, key=lambda row: row.fitness, default=None)


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
        # A setting that did not exist yet when the training began has its default.
        found = TrainConfig().model_dump() | dict(state["settings"])
        stated, tensors = state["position"], state["tensors"]
        position = _position(stated)
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


def _position(stated: dict[str, Any]) -> Position:
    """Return the position that a state holds; one of an earlier version names no losses, which always were three."""
    sums, history = stated["sums"], [dict(row) for row in stated["history"]]
    for row in history:
        row.setdefault("losses", {name: row.pop(name) for name in _EARLIER_LOSSES if name in row})
        row.setdefault("scores", {name: row.pop(name) for name in _EARLIER_SCORES if name in row})
    if isinstance(sums, list):
        sums = dict(zip(_EARLIER_LOSSES, sums, strict=True))
    return Position(**stated | {"sums": sums, "history": [EpochRow(**row) for row in history]})


def write_history(path: Path, history: list[EpochRow]) -> None:
    """Write the finished epochs, at least one, to `path` as CSV; raises OutputError when it cannot be written."""
    rows = [row.columns() for row in history]
    lines = [",".join(rows[0]), *(",".join(f"{value:.6g}" for value in row.values()) for row in rows)]
    try:
        with replacing(path) as partial:
            partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: the epochs cannot be written: {error.strerror}") from None
