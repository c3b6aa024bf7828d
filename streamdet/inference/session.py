"""The one interface between what is computed and what computes it: a model's card, a session, batches in flight."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from streamdet.boxes import Selection
from streamdet.errors import InputError, closest
from streamdet.letterbox import Letterbox
from streamdet.types import Float32Array, Frame, ToDevice

KEY = "streamdet"  # under which the card stands in the metadata of a file

Precision = Literal["fp32", "fp16", "bf16", "int8"]
# What a model takes: images uint8 (B, H, W, 3) RGB as they are, or f32 (B, 3, H, W), RGB normalised as ImageNet's are.
Preprocessing = Literal["pixels", "imagenet"]
# What it gives: a row f32 (B, A, 6) for each candidate, see `RowsNetwork`, or a vector f32 (B, D) for each image.
Layout = Literal["rows", "features"]


@dataclass(frozen=True, slots=True)
class SuppressionCard:
    """The non-maximum suppression inside a graph: see `streamdet.inference.graph`."""

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


class Request(NamedTuple):
    """One image on its way through a slot: what `Session.stage` made of a frame, and what is asked of it."""

    staged: Any
    letterbox: Letterbox
    select: Selection


class Slot(Protocol):
    """One batch in flight; slots are made for an input size and a batch, all else is in the requests."""

    def submit(self, requests: Sequence[Request], done: Callable[[], None]) -> None:
        """Start on a batch of `requests` at most, and return at once; the last ones have been collected.

        `done` is called once, from any thread, when `collect` would not wait, also where computing has failed.
        """

    def collect(self) -> list[Float32Array]:
        """Wait; return the rows f32 (N, 6) of each request, in memory of their own; raises what computing raised."""

    def close(self) -> None:
        """Let go of threads and buffers."""


class Session(Protocol):
    """A model made ready to run in one precision on one device.

    `name` is torch, onnx or openvino, `device` is cpu or cuda:N; `card` says what the model takes and gives. The device
    computes `parallel` batches side by side. If it `selects`, slots give only the rows that a request's selection
    keeps, else all.
    """

    name: str
    device: str
    precision: Precision
    card: ModelCard
    parallel: int
    selects: bool

    def __call__(self, images: npt.NDArray[Any]) -> Float32Array:
        """Map images to what the model gives; see the card for what both are. Any thread may call it.

        A detector's images are uint8 (B, H, W, 3) RGB, and its rows f32 (B, A, 6): xyxy in model px, best class score,
        its class id. An image is computed with all cores, and its rows do not depend on the other images.
        """

    def stage(self, frame: Frame, letterbox: Letterbox) -> Any:
        """Return the image of `frame` as slots take it: on a CPU fitted into a canvas, on a GPU where it copies from.

        A run calls it in a thread of its own.
        """

    def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Slot]:
        """Return as many slots as keep the device busy, for inputs of `input_hw` px, `batch` at most at once.

        Any thread may call it; it may take seconds, in which a model is compiled. A CPU takes a batch of 1.
        """

    @property
    def to_device(self) -> ToDevice | None:
        """What makes the images of pictures that this GPU decodes, None for a CPU."""

    def close(self) -> None:
        """Let go of the model; slots have been closed."""
