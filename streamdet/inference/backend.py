"""The one interface between a detector and what computes its model."""

from __future__ import annotations

from typing import Protocol

from streamdet.inference.card import ModelCard, Precision
from streamdet.inference.slots import Job, Slot
from streamdet.types import Float32Array, ToDevice, UInt8Array


class Backend(Protocol):
    """A model made ready to run in one precision on one device; `card` says what it detects and which sizes it takes.

    `name` is torch, onnx or openvino, `device` is cpu or cuda:N.
    """

    name: str
    device: str
    precision: Precision
    card: ModelCard

    def __call__(self, images: UInt8Array) -> Float32Array:
        """Map images uint8 (B, H, W, 3) RGB to rows f32 (B, A, 6): xyxy in model px, best class score, its class id.

        An image is computed with all cores, and its rows do not depend on the other images.
        """

    @property
    def to_device(self) -> ToDevice | None:
        """What makes the images of pictures that this GPU decodes, None for a CPU."""

    def pinned(self, image: UInt8Array) -> UInt8Array:
        """Return `image` uint8 (H, W, 3) where slots take it from without a copy by the host."""

    def new_slots(self, job: Job) -> list[Slot]:
        """Return as many slots for `job` as keep the device busy."""
