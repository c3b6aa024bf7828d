"""The one interface between what is computed and what computes it: a session on a device, and batches in flight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy.typing as npt

from streamdet.boxes import Selection
from streamdet.inference.card import ModelCard, Precision
from streamdet.letterbox import Letterbox
from streamdet.types import Float32Array, Frame, ToDevice


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
