"""What a graph file says about itself, so that it can be used without the weights it was made from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from streamdet.errors import InputError

KEY = "streamdet"  # under which the card stands in the metadata of a file

Precision = Literal["fp32", "fp16", "bf16", "int8"]


@dataclass(frozen=True, slots=True)
class SuppressionCard:
    """The non-maximum suppression inside a graph: see `streamdet.graph.suppression`."""

    conf: float
    iou: float
    max_det: int


@dataclass(frozen=True, slots=True)
class GraphCard:
    """Class names by id; sides are multiples of `stride` px, or exactly `input_hw`; `suppression` if NMS is inside."""

    class_names: tuple[str, ...]
    stride: int
    input_hw: tuple[int, int] | None = None
    precision: Precision = "fp32"
    suppression: SuppressionCard | None = None

    def to_json(self) -> str:
        """Return the card as JSON text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, name: str) -> GraphCard:
        """Return the card that `to_json` wrote; raises InputError, starting with `name`, when `text` is no card."""
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise InputError(f"{name}: expected the description that streamdet export wrote, found: {reason}") from None
