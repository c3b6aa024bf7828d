"""The detector: images in, Detections out, one at a time or as a stream with several images in flight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from streamdet.detect.flight import Batches, Collected, Flight
from streamdet.detect.tasks import TASKS
from streamdet.errors import InputError
from streamdet.inference.card import ModelCard
from streamdet.inference.load import load_session
from streamdet.inference.session import Request
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.nms import Selection
from streamdet.options import IMAGE_SIZE_PX, ThresholdOptions
from streamdet.resources import EMBEDDED_MODEL
from streamdet.types import Detections, Frame, ToDevice, UInt8Array

Detected = tuple[Frame, Detections]


class Detector:
    """A YOLO model with its pre- and postprocessing.

    `model` is a weights file or what ``streamdet export`` wrote, None for the embedded one; `size` the longer side of
    the model input in px, or its exact (height, width), None for 640 or what an exported model is fixed to; `classes`
    limits the output to classes given by name or number; `backend` is auto, openvino, onnx or torch, `half` computes in
    16 bits; on a GPU a stream computes up to `batch` images at once, if so many wait. Raises InputError.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        backend: str = "auto",
        size: int | tuple[int, int] | None = None,
        conf: float = 0.25,
        iou: float = ThresholdOptions.iou,
        classes: Sequence[str | int] | None = None,
        max_det: int = ThresholdOptions.max_det,
        agnostic: bool = False,
        half: bool = False,
        batch: int = 1,
    ) -> None:
        self.session = load_session(Path(model or EMBEDDED_MODEL), device=device, backend=backend, half=half)
        card = self.session.card
        if card.task not in TASKS:
            raise InputError(f"expected a model that detects, found one for the task {card.task!r}")
        self._task = TASKS[card.task]
        class_ids = None if classes is None else card.class_ids(classes)
        self._select = Selection(conf, iou, max_det, agnostic, class_ids)
        _check_suppression(card, self._select)
        self._size = _checked_size(size, card)
        if batch < 1:
            raise InputError(f"batch must be at least 1, got {batch}")
        self.batch = batch if self.session.device != "cpu" else 1

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class id."""
        return self.session.card.class_names

    def __call__(self, image: UInt8Array) -> Detections:
        """Detect in one image, uint8 (H, W, 3) RGB; for many images `stream` is faster."""
        letterbox = self._fit(image.shape[:2])
        rows = self.session(letterboxed(image, letterbox)[None])[0]
        return self._task.detections(self._task.kept(rows, self._select), letterbox, image.shape[:2])

    @property
    def to_device(self) -> ToDevice | None:
        """What makes the images of pictures that the detector's GPU decodes, None for a CPU."""
        return self.session.to_device

    def stream(self, frames: Iterable[Frame]) -> Iterator[Detected]:
        """Yield every frame with its detections, in order.

        While the device is busy the next frame is submitted; the oldest is collected when every slot is taken, and also
        when no frame is waiting, so that a live camera pays no frame of latency for throughput it does not need.
        """
        frame_waits = getattr(frames, "ready", lambda: True)
        batches = Batches(frames, self.batch, frame_waits)
        flight = Flight(self.session, self.batch)
        try:
            for batch in batches:
                flight.submit(batch, [self._request(frame) for frame in batch])
                if flight.full or not frame_waits():
                    yield from self._detected(flight.collect())
            yield from self._detected(flight.drain())
        finally:
            flight.close()
        if batches.failure is not None:
            raise batches.failure

    def input_hw(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        """Return height and width in px of the model input that images of `image_hw` px are fitted into."""
        return self._fit(image_hw).input_hw

    def _request(self, frame: Frame) -> Request:
        letterbox = self._fit(frame.image.shape[:2])
        return Request(self.session.stage(frame, letterbox), letterbox, self._select)

    def _detected(self, collected: Collected) -> Iterator[Detected]:
        for frame, (_, letterbox, select), rows in collected:
            kept = rows if self.session.selects else self._task.kept(rows, select)
            yield frame, self._task.detections(kept, letterbox, frame.image.shape[:2])

    def _fit(self, image_hw: tuple[int, int]) -> Letterbox:
        return Letterbox.fit(image_hw, self._size, self.session.card.stride)


def _checked_size(size: int | tuple[int, int] | None, card: ModelCard) -> int | tuple[int, int]:
    """Return the size to use; raises InputError when the model cannot take it."""
    if card.input_hw is not None:
        if size not in (None, card.input_hw, max(card.input_hw)):
            height, width = card.input_hw
            raise InputError(f"the model was exported for images of {height}x{width} px, got the image size {size}")
        return card.input_hw
    for side in (size,) if isinstance(size, int) else size or ():
        if side < card.stride or side % card.stride:
            raise InputError(f"image size must be a positive multiple of the model's stride {card.stride}, got {size}")
    return size or IMAGE_SIZE_PX


def _check_suppression(card: ModelCard, select: Selection) -> None:
    """Raise InputError when `select` asks for boxes that the NMS inside a graph has already removed."""
    inside = card.suppression
    if inside is None:
        return
    if select.agnostic or select.iou != inside.iou or select.conf < inside.conf or select.max_det > inside.max_det:
        raise InputError(
            f"the model was exported with NMS at iou {inside.iou} within each class, scores from {inside.conf} and at "
            f"most {inside.max_det} boxes: other values need an export without --nms"
        )
