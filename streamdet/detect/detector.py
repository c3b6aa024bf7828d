"""The detector: images in, Detections out, one at a time or as a stream with several images in flight."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from streamdet.boxes import Selection
from streamdet.data.images import to_image
from streamdet.detect.tasks import task_from
from streamdet.errors import InputError
from streamdet.files import EMBEDDED_MODEL
from streamdet.inference.load import load_session
from streamdet.inference.session import ModelCard, Output, Request, Session
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.options import DetectOptions, Order, PrecisionChoice
from streamdet.scheduler import shared
from streamdet.scheduler.lane import Lane, QueuedFrame
from streamdet.scheduler.lane_options import LaneOptions
from streamdet.scheduler.threads import Channel, join_all
from streamdet.types import Detections, Frame
from streamdet.values import Suppression

CLOSE_TIMEOUT_S = 5.0  # longest wait for the thread that reads frames, when a stream is closed

Detected = tuple[Frame, Detections]


class Detector:
    """A YOLO model with its pre- and postprocessing. Raises InputError for arguments that do not fit it.

    - `model`: a weights file or the output of ``streamdet export``, None for the embedded model.
    - `device`: auto, cpu or cuda:N.
    - `backend`: auto, openvino, onnx or torch.
    - `size`: the longer side of the model input in px, or its exact (height, width), None for 640, 224 of a classifier,
      or the fixed size of an exported model.
    - `conf`: the lowest score of a detection.
    - `iou`: the overlap above which a box suppresses another, None for the model's own: 0.7, of YOLOv5 0.45.
    - `nms`: the kind of suppression, see `streamdet.boxes.Selection`.
    - `classes`: the classes to detect, by name or number, None for all.
    - `max_det`: the largest number of detections in an image.
    - `agnostic`: whether boxes of different classes suppress each other.
    - `precision`: auto, fp32 or half, which is 16 bits.
    - `batch`: on a GPU, the largest number of waiting images that a stream computes at once.
    - `arch`: the architecture of a checkpoint that holds only tensors, such as yolov8n.
    - `labels`: how many classes a box may have, a detection each, None for 1 or what an exported model says.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        backend: str = "auto",
        size: int | tuple[int, int] | None = None,
        conf: float = 0.25,
        iou: float | None = DetectOptions.iou,
        nms: Suppression = DetectOptions.nms,
        classes: str | int | Sequence[str | int] | None = None,
        max_det: int = DetectOptions.max_det,
        agnostic: bool = False,
        precision: PrecisionChoice = "auto",
        batch: int = 1,
        arch: str | None = None,
        labels: int | None = None,
    ) -> None:
        path = Path(model or EMBEDDED_MODEL)
        session = load_session(path, device=device, backend=backend, precision=precision, arch=arch, labels=labels)
        options = DetectOptions(
            size=size, conf=conf, iou=iou, nms=nms, classes=classes, max_det=max_det, agnostic=agnostic
        )
        self._begin(session, options, batch)

    @classmethod
    def from_session(cls, session: Session, options: DetectOptions, *, batch: int = 1) -> Self:
        """Return a detector that computes with a `session` shared with others; raises InputError."""
        detector = cls.__new__(cls)
        detector._begin(session, options, batch)
        return detector

    def _begin(self, session: Session, options: DetectOptions, batch: int) -> None:
        card, classes = session.card, options.classes
        class_ids = None if classes is None else card.class_ids(classes)
        if batch < 1:
            raise InputError(f"batch must be at least 1, got {batch}")
        self.session, self.batch = session, 1 if session.device == "cpu" else batch
        self._task = task_from(card)
        iou = card.iou if options.iou is None else options.iou
        self._select = Selection(options.conf, iou, options.max_det, options.agnostic, class_ids, options.nms)
        self._size = _checked_size(options.size, card) or self._task.size_px
        self._process = shared.OwnProcess()
        _check_suppression(card, self._select)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class id."""
        return self.session.card.class_names

    def __call__(self, image: Any, *, order: Order = "rgb") -> Detections:
        """Detect in one image: a file, uint8 (H, W, 3) RGB, or what `rgb_image` converts.

        `order` is that of the channels of an array. For many images `stream` is faster. Raises InputError for another
        image.
        """
        self._process.require()
        image = to_image(image, order)
        letterbox = self.fit(image.shape[:2])
        found = self._task.kept(self.session(letterboxed(image, letterbox)[None])[0], self._select)
        return self._task.detections(found, letterbox, image.shape[:2], self.class_names)

    def stream(self, frames: Iterable[Frame]) -> Iterator[Detected]:
        """Yield every frame with its detections, in order and as soon as they are known.

        A thread reads a few frames ahead. An error of `frames` is raised after the frames that came before it.
        """
        self._process.require()
        scheduler = shared.acquire(self.session.device)
        found: Channel[QueuedFrame] = Channel(left=lambda: lane.release())
        depth = max(4, 2 * self.batch)
        lane = scheduler.lane(self, found, LaneOptions(live=False, batch=self.batch, depth=depth, credits=depth))
        feeder = threading.Thread(target=_feed, args=(frames, lane), name="frames", daemon=True)
        feeder.start()
        try:
            for queued in found:
                assert queued.found is not None
                yield queued.frame, self.detections(queued.found, queued.letterbox, queued.frame.image.shape[:2])
        finally:
            lane.cancel()
            deadline_s = time.monotonic() + CLOSE_TIMEOUT_S
            join_all([feeder], deadline_s)
            scheduler.release(self.session)
            shared.release(self.session.device, deadline_s)

    def input_hw(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        """Return height and width in px of the model input that images of `image_hw` px are fitted into."""
        return self.fit(image_hw).input_hw

    def fit(self, image_hw: tuple[int, int], size: int | None = None) -> Letterbox:
        """Return the letterbox of images of `image_hw` px, in the detector's own size or in another longer side.

        A model with a fixed input ignores `size`.
        """
        own = self._size if size is None or self.session.card.input_hw else size
        return self._task.fits.fit(image_hw, own, self.session.card.stride)

    def request(self, frame: Frame, letterbox: Letterbox) -> Request:
        """Return the request for `frame` that slots of the session take."""
        return Request(self.session.stage(frame, letterbox), letterbox, self._select)

    def detections(self, found: Output, letterbox: Letterbox, image_hw: tuple[int, int]) -> Detections:
        """Return what a slot of the session found as detections in an image of `image_hw` px."""
        kept = found if self.session.selects else self._task.kept(found, self._select)
        return self._task.detections(kept, letterbox, image_hw, self.class_names)


def _feed(frames: Iterable[Frame], lane: Lane) -> None:
    """Feed `lane` with `frames`, and close them if they can be closed."""
    lane.feed(frames)
    close = getattr(frames, "close", None)
    if close is not None:
        close()


def _checked_size(size: int | tuple[int, int] | None, card: ModelCard) -> int | tuple[int, int] | None:
    """Return the size of the model input, None for that of its task; raises InputError if it cannot take it."""
    if card.input_hw is not None:
        if size not in (None, card.input_hw, max(card.input_hw)):
            height, width = card.input_hw
            raise InputError(f"the model was exported for images of {height}x{width} px, got the image size {size}")
        return card.input_hw
    for side in (size,) if isinstance(size, int) else size or ():
        if side < card.stride or side % card.stride:
            raise InputError(f"image size must be a positive multiple of the model's stride {card.stride}, got {size}")
    return size


def _check_suppression(card: ModelCard, select: Selection) -> None:
    """Raise InputError if `select` needs boxes that the NMS inside the graph has already removed."""
    inside = card.suppression
    if inside is None:
        return
    greedy = select.nms == "greedy" and not select.agnostic and select.iou == inside.iou
    if not greedy or select.conf < inside.conf or select.max_det > inside.max_det:
        raise InputError(
            f"the model was exported with greedy NMS at iou {inside.iou} within each class, scores from {inside.conf} "
            f"and at most {inside.max_det} boxes: other values need an export without --nms"
        )
