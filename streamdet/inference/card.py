"""What a model's file says about itself, so that it can be used without the weights it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from streamdet.errors import InputError, closest

KEY = "streamdet"  # under which the card stands in the metadata of a file

Precision = Literal["fp32", "fp16", "bf16", "int8"]
# What a model takes: images uint8 (B, H, W, 3) RGB as they are, or f32 (B, 3, H, W), RGB normalised as ImageNet's are.
Preprocessing = Literal["pixels", "imagenet"]
# What it gives: a row f32 (B, A, 6) for each candidate, see `RowsNetwork`, or a vector f32 (B, D) for each image.
Layout = Literal["rows", "features"]


@dataclass(frozen=True, slots=True)
class SuppressionCard:
    """The non-maximum suppression inside a graph: see `streamdet.inference.suppression`."""

    conf: float
    iou: float
    max_det: int


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Class names by id; sides are multiples of `stride` px, or exactly `input_hw`; `suppression` if NMS is inside.

    `task` is what the model is for, `preprocessing` what it takes, and `layout` what it gives.
    """

    class_names: tuple[str, ...]
    stride: int
    input_hw: tuple[int, int] | None = None
    precision: Precision = "fp32"
    suppression: SuppressionCard | None = None
    task: Literal["detect", "embed"] = "detect"
    preprocessing: Preprocessing = "pixels"
    layout: Layout = "rows"

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
    def from_json(cls, text: str | None, name: str) -> ModelCard:
        """Return the card that `to_json` wrote, in this version or an earlier one.

        Raises InputError, starting with `name`, when there is no `text` or when it is no such card.
        """
        if text is None:
            raise InputError(f"{name}: expected a model that streamdet export wrote, found one without its class names")
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            raise InputError(f"{name}: expected {_complaint(error)}") from None


def embedding_card(inputs: Sequence[tuple[int | None, ...]], name: str) -> ModelCard:
    """Return the card of an appearance model that states nothing but the shapes of its `inputs`, None for what is free.

    It has one input (b, 3, H, W) with b free. Raises InputError, starting with `name`, for another.
    """
    match inputs:
        case [(None, 3, int(height), int(width))]:
            return ModelCard((), 1, (height, width), task="embed", preprocessing="imagenet", layout="features")
    found = " and ".join(f"({', '.join('?' if size is None else str(size) for size in shape)})" for shape in inputs)
    raise InputError(f"{name}: expected one input (b, 3, H, W) with b free, H and W fixed, found {found or 'none'}")


def _complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "literal_error":
        return f"a model whose {first['loc'][0]} is {first['ctx']['expected']}, found {first['input']!r}"
    return f"the description that streamdet export wrote, found: {first['msg']}"
