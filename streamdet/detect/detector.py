"""The detector: images in, Detections out, one at a time or as a stream with several images in flight."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from streamdet.boxes import Selection
from streamdet.detect.tasks import TASKS
from streamdet.errors import InputError
from streamdet.files import EMBEDDED_MODEL
from streamdet.inference.load import load_session
from streamdet.inference.session import ModelCard, Request, Session
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.options import IMAGE_SIZE_PX, DetectOptions, PrecisionChoice
from streamdet.scheduler import shared
from streamdet.scheduler.lane import Lane, LaneOptions, QueuedFrame
from streamdet.scheduler.threads import Channel, join_all
from streamdet.types import Detections, Float32Array, Frame, UInt8Array

CLOSE_TIMEOUT_S = 5.0  # for a thread that reads frames to come back, before it is left behind

Detected = tuple[Frame, Detections]


class Detector:
    """A YOLO model with its pre- and postprocessing.

    `model` is a weights file or what ``streamdet export`` wrote, None for the embedded one; `size` the longer side of
    the model input in px, or its exact (height, width), None for 640 or what an exported model is fixed to; `classes`
    limits the output to classes given by name or number; `backend` is auto, openvino, onnx or torch, `precision` auto,
    fp32 or half, which is 16 bits; on a GPU a stream computes up to `batch` images at once, if so many wait. Raises
    InputError.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        backend: str = "auto",
        size: int | tuple[int, int] | None = None,
        conf: float = 0.25,
        iou: float = DetectOptions.iou,
        classes: Sequence[str | int] | None = None,
        max_det: int = DetectOptions.max_det,
        agnostic: bool = False,
        precision: PrecisionChoice = "auto",
        batch: int = 1,
    ) -> None:
        session = load_session(Path(model or EMBEDDED_MODEL), device=device, backend=backend, precision=precision)
        options = DetectOptions(size=size, conf=conf, iou=iou, classes=classes, max_det=max_det, agnostic=agnostic)
        self._begin(session, options, batch)

    @classmethod
    def over(cls, session: Session, options: DetectOptions, *, batch: int = 1) -> Self:
        """Return the detector that computes with a `session` that is shared; raises InputError."""
        detector = cls.__new__(cls)
        detector._begin(session, options, batch)
        return detector

    def _begin(self, session: Session, options: DetectOptions, batch: int) -> None:
        card, classes = session.card, options.classes
        class_ids = None if classes is None else card.class_ids(classes)
        if batch < 1:
            raise InputError(f"batch must be at least 1, got {batch}")
        if card.task not in TASKS:
            raise InputError(f"expected a model that detects, found one for the task {card.task!r}")
        self.session, self.batch = session, 1 if session.device == "cpu" else batch
        self._task = TASKS[card.task]
        self._select = Selection(options.conf, options.iou, options.max_det, options.agnostic, class_ids)
        self._size = _checked_size(options.size, card)
        _check_suppression(card, self._select)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class id."""
        return self.session.card.class_names

    def __call__(self, image: UInt8Array) -> Detections:
        """Detect in one image, uint8 (H, W, 3) RGB; for many images `stream` is faster."""
        letterbox = self.fit(image.shape[:2])
        rows = self._task.kept(self.session(letterboxed(image, letterbox)[None])[0], self._select)
        return self._task.detections(rows, letterbox, image.shape[:2])

    def stream(self, frames: Iterable[Frame]) -> Iterator[Detected]:
        """Yield every frame with its detections, in order and as soon as they are there.

        Frames are read in a thread of its own, a few ahead; their error comes after the frames ahead of it.
        """
        scheduler = shared.acquire(self.session.device)
        found: Channel[QueuedFrame] = Channel(left=lambda: lane.release())
        depth = max(4, 2 * self.batch)
        lane = scheduler.lane(self, found, LaneOptions(live=False, batch=self.batch, depth=depth, credits=depth))
        feeder = threading.Thread(target=_feed, args=(frames, lane), name="frames", daemon=True)
        feeder.start()
        try:
            for passage in found:
                assert passage.rows is not None
                yield passage.frame, self.detections(passage.rows, passage.letterbox, passage.frame.image.shape[:2])
        finally:
            lane.cancel()
            deadline_s = time.monotonic() + CLOSE_TIMEOUT_S
            join_all([feeder], deadline_s)
            scheduler.release(self.session)
            shared.give_back(self.session.device, deadline_s)

    def input_hw(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        """Return height and width in px of the model input that images of `image_hw` px are fitted into."""
        return self.fit(image_hw).input_hw

    def fit(self, image_hw: tuple[int, int], size: int | None = None) -> Letterbox:
        """Fit images of `image_hw` px into the model input, of the detector's own size or of another longer side."""
        own = self._size if size is None or self.session.card.input_hw else size
        return Letterbox.fit(image_hw, own, self.session.card.stride)

    def request(self, frame: Frame, letterbox: Letterbox) -> Request:
        """Return what slots of the session take for `frame`."""
        return Request(self.session.stage(frame, letterbox), letterbox, self._select)

    def detections(self, rows: Float32Array, letterbox: Letterbox, image_hw: tuple[int, int]) -> Detections:
        """Return the `rows` f32 (N, 6) that a slot of the session gave as detections in an image of `image_hw` px."""
        kept = rows if self.session.selects else self._task.kept(rows, self._select)
        return self._task.detections(kept, letterbox, image_hw)


def _feed(frames: Iterable[Frame], lane: Lane) -> None:
    """Put `frames` into `lane` until they end or fail, or it takes no more."""
    try:
        for frame in frames:
            if not lane.put(frame):
                break
    except BaseException as error:  # whatever it is, it belongs to the reader
        lane.end(error)
    else:
        lane.end()
    close = getattr(frames, "close", None)
    if close is not None:
        close()


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
