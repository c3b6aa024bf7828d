"""The interface of all runtimes: the card that describes a model, a session, and slots for batches in flight."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from streamdet.boxes import Selection
from streamdet.errors import InputError, shown
from streamdet.letterbox import Letterbox
from streamdet.rows import class_ids
from streamdet.types import Float32Array, Frame, ToDevice

KEY = "streamdet"  # of the card in the metadata of a model file

Precision = Literal["fp32", "fp16", "bf16", "int8"]
# Input of a model: images uint8 (B, H, W, 3) RGB as they are, or f32 (B, 3, H, W) RGB, normalised as for ImageNet.
Preprocessing = Literal["pixels", "imagenet"]
# Output of a model: f32 (B, A, 6 + E), a row for each candidate, see `Session`; with the prototypes of masks; or a
# vector for each image: probabilities of classes f32 (B, C), or features f32 (B, D).
Layout = Literal["rows", "prototypes", "probabilities", "features"]
TaskName = Literal["detect", "segment", "pose", "obb", "classify", "embed"]
LAYOUTS: dict[str, Layout] = {"segment": "prototypes", "classify": "probabilities"}  # of tasks without rows alone


@dataclass(frozen=True, slots=True)
class SuppressionCard:
    """The non-maximum suppression inside a graph: see `streamdet.inference.graph`."""

    conf: float
    iou: float
    max_det: int


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The description of a model. An exported file carries its card, so that it can be used without the weights.

    - `class_names`: names by class id.
    - `stride`: image sides are multiples of this many px.
    - `input_hw`: the only height and width in px that the model takes, None for any.
    - `precision`: the type that its weights are stored in.
    - `suppression`: the NMS inside the graph, None without.
    - `iou`: the overlap above which NMS removes a box, unless the user states another.
    - `labels`: how many classes a box may have at most; a box has as many rows.
    - `task`, `preprocessing`, `layout`: the purpose, the input and the output of the model.
    - `kpt_shape`: how many key points an object has, and how many numbers each; None without.
    """

    class_names: tuple[str, ...]
    stride: int
    input_hw: tuple[int, int] | None = None
    precision: Precision = "fp32"
    suppression: SuppressionCard | None = None
    task: TaskName = "detect"
    preprocessing: Preprocessing = "pixels"
    layout: Layout = "rows"
    iou: float = 0.7
    labels: int = 1
    kpt_shape: tuple[int, int] | None = None

    def class_ids(self, names: Iterable[str | int] | int) -> tuple[int, ...]:
        """Return the ids of classes given by name or number; raises InputError naming the nearest known class."""
        return class_ids([names] if isinstance(names, int) else names, self.class_names)

    def to_json(self) -> str:
        """Return the card as JSON text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | None, name: str) -> ModelCard:
        """Return the card that `to_json` of this version or of an earlier one wrote.

        Raises InputError, which begins with `name`, when `text` is None or no such card.
        """
        if text is None:
            advice = "export its weights, a .pt or .safetensors file, with streamdet export"
            raise InputError(
                f"{name}: expected a model that streamdet export wrote, found one of another program: {advice}"
            )
        try:
            return TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            raise InputError(f"{name}: expected {_mismatch(error)}") from None


def embedding_card(inputs: Sequence[tuple[int | None, ...]], name: str) -> ModelCard:
    """Return the card of an appearance model that states only the shapes of its `inputs`, None for a free size.

    The model must have one input (b, 3, H, W) with b free. Raises InputError, which begins with `name`, for others.
    """
    match inputs:
        case [(None, 3, int(height), int(width))]:
            return ModelCard((), 1, (height, width), task="embed", preprocessing="imagenet", layout="features")
    found = " and ".join(f"({', '.join('?' if size is None else str(size) for size in shape)})" for shape in inputs)
    raise InputError(f"{name}: expected one input (b, 3, H, W) with b free, H and W fixed, found {found or 'none'}")


def _mismatch(error: ValidationError) -> str:
    """Return the end of the error message: what was expected of a card, and what was found."""
    first = error.errors()[0]
    if first["type"] == "literal_error":
        return f"a model whose {first['loc'][0]} is {first['ctx']['expected']}, found {shown(first['input'])}"
    return f"the description that streamdet export wrote, found: {first['msg']}"


class Request(NamedTuple):
    """One image to compute: the result of `Session.stage` for a frame, its letterbox, and which rows to select."""

    staged: Any
    letterbox: Letterbox
    select: Selection


class Found(NamedTuple):
    """What a model that segments finds in one image.

    - `rows` f32 (N, 6 + M) are those of `Session`, of which the last M numbers are the coefficients of a mask.
    - `prototypes` f32 (M, h, w) are what the masks of the image are sums of.
    """

    rows: Float32Array
    prototypes: Float32Array

    def copy(self) -> Found:
        """Return the same in memory of its own."""
        return Found(self.rows.copy(), self.prototypes.copy("K"))  # in their order in memory, which may be another


# What a model finds in one image, which its task reads: rows f32 (N, 6 + E), with prototypes a `Found`, or
# probabilities f32 (C,). In a batch these are the rows of an array; those of a model that segments are a list.
Output = Any
Outputs = Any


class Slot(Protocol):
    """One batch in flight. A slot is made for an input size and a largest batch; all else is in the requests."""

    def submit(self, requests: Sequence[Request], done: Callable[[], None]) -> None:
        """Start to compute `requests`, a batch at most, and return at once.

        Those of the call before must have been collected. `done` is called once, from any thread, when `collect` would
        not wait, also after a failure.
        """

    def collect(self) -> list[Output]:
        """Wait; return what was found for each request, in memory of its own. Raises the error of a failure."""

    def close(self) -> None:
        """Release threads and buffers."""


class Session(Protocol):
    """A model that is ready to run in one precision on one device.

    - `name`: torch, onnx or openvino.
    - `device`: cpu or cuda:N.
    - `precision`: the type that is computed in.
    - `card`: the description of the model.
    - `parallel`: how many batches the device computes side by side.
    - `selects`: whether slots return only the rows that a request's selection keeps, instead of all.
    """

    name: str
    device: str
    precision: Precision
    card: ModelCard
    parallel: int
    selects: bool

    def __call__(self, images: npt.NDArray[Any]) -> Outputs:
        """Map images to the output of the model; the card describes both. Any thread may call it.

        A detector maps images uint8 (B, H, W, 3) RGB to rows f32 (B, A, 6 + E): xyxy in model px, best class score, its
        class id, and what the task adds: the coefficients of a mask, key points (x and y in model px), or an angle in
        rad by which the box is turned around its centre. A model with several labels has several rows, for the best
        classes, for each box. All cores compute an image, and its rows do not depend on the other images.
        """

    def stage(self, frame: Frame, letterbox: Letterbox) -> Any:
        """Return the image of `frame` as slots take it: fitted into a canvas on a CPU, in pinned memory for a GPU.

        A run calls it in a thread of its own.
        """

    def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Slot]:
        """Return as many slots as keep the device busy, for inputs of `input_hw` px and batches of up to `batch`.

        Any thread may call it. It may take seconds, in which a model is compiled. On a CPU `batch` is 1.
        """

    @property
    def to_device(self) -> ToDevice | None:
        """The function that converts pictures which this GPU has decoded to images; None on a CPU."""

    def close(self) -> None:
        """Release the model. All slots must have been closed."""
