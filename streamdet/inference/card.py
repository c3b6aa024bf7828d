"""What a graph file says about itself, so that it can be used without the weights it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from streamdet.errors import InputError, closest

KEY = "streamdet"  # under which the card stands in the metadata of a file

Precision = Literal["fp32", "fp16", "bf16", "int8"]


@dataclass(frozen=True, slots=True)
class SuppressionCard:
    """The non-maximum suppression inside a graph: see `streamdet.inference.suppression`."""

    conf: float
    iou: float
    max_det: int


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Class names by id; sides are multiples of `stride` px, or exactly `input_hw`; `suppression` if NMS is inside."""

    class_names: tuple[str, ...]
    stride: int
    input_hw: tuple[int, int] | None = None
    precision: Precision = "fp32"
    suppression: SuppressionCard | None = None

    def class_ids(self, names: Iterable[str | int]) -> tuple[int, ...]:
        """Return the ids of classes given by name or number; raises InputError naming the nearest known class."""
        known = {name: index for index, name in enumerate(self.class_names)}
        known |= {str(index): index for index in range(len(self.class_names))}
        asked = [str(name) for name in names]
        for name in asked:
            if name not in known:
                raise InputError(f"the model has no class {name!r}{closest(name, list(self.class_names))}")
        return tuple(known[name] for name in asked)

    def to_json(self) -> str:
        """Return the card as JSON text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, name: str) -> ModelCard:
        """Return the card that `to_json` wrote; raises InputError, starting with `name`, when `text` is no card."""
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise InputError(f"{name}: expected the description that streamdet export wrote, found: {reason}") from None
