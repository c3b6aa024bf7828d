"""The detector: images in, Detections out, one at a time or as a stream with several images in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from streamdet.detect.device import resolve_device
from streamdet.detect.engine import Engine
from streamdet.detect.postprocess import Selection, class_ids_of
from streamdet.detect.preprocess import letterbox_into, new_canvas
from streamdet.detect.slots import Slot, new_slots
from streamdet.errors import InputError
from streamdet.geometry import Letterbox
from streamdet.model.weights import load_model
from streamdet.types import Detections, Frame, UInt8Array

Detected = tuple[Frame, Detections]


class Detector:
    """A YOLO model with its pre- and postprocessing.

    `model` is a weights file; `size` the longer side of the model input in px, or its exact (height, width); `classes`
    limits the output to classes given by name or number; `half` computes in 16 bits. Raises InputError.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        device: str = "auto",
        size: int | tuple[int, int] = 640,
        conf: float = 0.25,
        iou: float = 0.7,
        classes: Sequence[str | int] | None = None,
        max_det: int = 300,
        agnostic: bool = False,
        half: bool = False,
    ) -> None:
        resolved = resolve_device(device)
        loaded = load_model(model)
        self.class_names = loaded.class_names
        class_ids = None if classes is None else class_ids_of([str(name) for name in classes], self.class_names)
        self._select = Selection(conf, iou, max_det, agnostic, class_ids)
        self._stride, self._size = loaded.stride, _checked_size(size, loaded.stride)
        self._engine = Engine(loaded, resolved, half=half)

    def __call__(self, image: UInt8Array) -> Detections:
        """Detect in one image, uint8 (H, W, 3) RGB; for many images `stream` is faster."""
        letterbox = self._fit(image)
        canvas = new_canvas(letterbox)
        letterbox_into(canvas, image, letterbox)
        rows = self._engine(torch.from_numpy(canvas)[None].to(self._engine.device))[0]
        return self._select(rows.cpu().numpy(), letterbox, image.shape[:2])

    def stream(self, frames: Iterable[Frame]) -> Iterator[Detected]:
        """Yield every frame with its detections, in order.

        While the device is busy the next frame is submitted; the oldest is collected when every slot is taken, and also
        when no frame is waiting, so that a live camera pays no frame of latency for throughput it does not need.
        """
        frame_waits = getattr(frames, "ready", lambda: True)
        slots: list[Slot] = []
        letterbox: Letterbox | None = None
        busy: deque[tuple[Frame, Letterbox, Slot]] = deque()
        try:
            for frame in frames:
                fitted = self._fit(frame.image)
                if fitted != letterbox:
                    while busy:
                        yield self._collect(busy)
                    _close(slots)
                    letterbox, slots = fitted, new_slots(self._engine, fitted)
                slot = next(slot for slot in slots if all(slot is not taken for _, _, taken in busy))
                slot.submit(frame.image, fitted)
                busy.append((frame, fitted, slot))
                if len(busy) == len(slots) or not frame_waits():
                    yield self._collect(busy)
            while busy:
                yield self._collect(busy)
        finally:
            _close(slots)

    def _collect(self, busy: deque[tuple[Frame, Letterbox, Slot]]) -> Detected:
        frame, letterbox, slot = busy.popleft()
        return frame, self._select(slot.collect(), letterbox, frame.image.shape[:2])

    def _fit(self, image: UInt8Array) -> Letterbox:
        return Letterbox.fit(image.shape[:2], self._size, self._stride)


def _close(slots: list[Slot]) -> None:
    for slot in slots:
        slot.close()


def _checked_size(size: int | tuple[int, int], stride: int) -> int | tuple[int, int]:
    for side in (size,) if isinstance(size, int) else size:
        if side < stride or side % stride:
            raise InputError(f"image size must be a positive multiple of the model's stride {stride}, got {size}")
    return size
