"""The values that flow through the pipeline: frozen and validated dataclasses, whose arrays are read-only.

An array belongs to the value that holds it, except for an image, which is too large to copy: it is a view.

Boxes are ``(x1, y1, x2, y2)`` in pixels of the source image, with the origin at its top left corner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from streamdet.arrays import Value, box_rows, finite_rows, frozen, score_rows, whole_rows
from streamdet.errors import InputError, shown
from streamdet.masks import Masks
from streamdet.pixels import in_order, rgb_image
from streamdet.rows import Amendment, Detection, Rows, Track

if TYPE_CHECKING:
    import supervision

    from streamdet.options import Order

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
# What tells when a frame was captured.
Clock = Literal["rtcp", "container", "arrival"]
_FINEST = 1_000_000  # largest denominator of a time in s that is given as a float
_TICKS_HZ = 90_000  # least resolution of such times, which a video that is written has: the clock of MPEG
# The state of a part of the pipeline, as it is stored in a file: arrays by name.
Arrays = Mapping[str, npt.NDArray[Any]]


def state_array(state: Arrays, name: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """Return the array `name` of `state`, read-only.

    Raises ValueError unless it exists, is finite, and has `dtype` and `shape`, where None matches any length.
    """
    if name not in state:
        raise ValueError(f"expected the state of a run, found none of {name!r}")
    array = state[name]
    shaped = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if array.dtype != dtype or not shaped or not np.isfinite(array).all():
        raise ValueError(f"expected the state of a run, found {name} as {array.dtype} {array.shape}")
    return frozen(name, array, dtype, shape, shared=True)


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a source declares before its first frame.

    - `width` and `height` are in pixels as displayed (after rotation).
    - `frame_rate` is nominal, in Hz, None when unknown.
    - `frame_count` is the number of frames that are listed, or an estimate by the duration, None when both are unknown.
    - `live`: frames come in real time, as from a camera, and do not wait for their reader.
    - `sample_aspect_ratio` is the width of a pixel over its height.
    """

    width: int
    height: int
    frame_rate: Fraction | None
    frame_count: int | None
    live: bool
    sample_aspect_ratio: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame(Value):
    """One decoded image.

    - `index` counts frames from 0 in decode order; a gap means dropped or skipped frames.
    - `pts` is the presentation timestamp in ticks of `time_base`, which is in s.
    - `image` is uint8 (H, W, 3) RGB, a read-only view of the array that was given, or what `rgb_image` makes of it.
    - `source_id` is the `id` of its source.
    - `received_at` is ``time.monotonic()``, in s, when a live source received it, before it waited in a buffer;
      of another source, when it was decoded.
    - `on_device` is the image as a tensor on the GPU that decoded it, for a detector there; None in results.
    - `captured_at` is when the camera took the image by its own clock, in s since 1970, None where it does not say.
    - `clock` is what that follows from: "rtcp" (sender reports of the stream), "container" (reference times in a file),
      or "arrival" if it is not known, so that `received_at` is all there is. It may change in mid-stream, which moves
      no other time.
    """

    index: int
    pts: int
    time_base: Fraction
    image: UInt8Array
    source_id: str
    received_at: float
    on_device: Any = field(default=None, compare=False)
    captured_at: float | None = None
    clock: Clock = "arrival"

    def __post_init__(self) -> None:
        image = rgb_image(self.image)
        object.__setattr__(self, "image", frozen("image", image, np.uint8, (None, None, 3), shared=True))

    @classmethod
    def from_image(
        cls,
        image: Any,
        time: float | Fraction,
        *,
        index: int = 0,
        order: Order = "rgb",
        source_id: str = "images",
    ) -> Frame:
        """Return the frame of an image that is shown at `time`, in s; `image` and `order` are as for `rgb_image`.

        A float stands for the nearest fraction with a denominator of up to a million, as it was meant. Raises
        InputError for a time that is no number, and for an image as `rgb_image` does.
        """
        try:
            exact = time if isinstance(time, Fraction) else Fraction(float(time)).limit_denominator(_FINEST)
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"expected a time in s, found {shown(time)}") from None
        ticks_hz = lcm(exact.denominator, _TICKS_HZ)
        return cls(index, int(exact * ticks_hz), Fraction(1, ticks_hz), rgb_image(image, order), source_id, monotonic())

    @property
    def time(self) -> Fraction:
        """The presentation time in s, exact."""
        return self.pts * self.time_base

    def to_ndarray(self, order: Order = "rgb") -> UInt8Array:
        """Return a copy of the image that may be drawn on, uint8 (H, W, 3), with its channels in `order`."""
        return in_order(self.image.copy(), order)

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Frame({self.index} at {float(self.time):.3f} s: {width}x{height} px of {self.source_id!r})"


class Planes(NamedTuple):
    """A picture in GPU memory (NV12): `luma` (H, W) and `chroma` (H/2, W/2, 2), uint8, which support DLPack.

    `matrix` is the code of its matrix coefficients (ITU-T H.273, table 4); `full_range` is False for limited range.
    """

    luma: Any
    chroma: Any
    matrix: int
    full_range: bool


# Converts a picture in GPU memory to an image uint8 (H, W, 3) RGB on the host and as a tensor on the GPU, or to None.
ToDevice = Callable[[Planes], tuple[UInt8Array, Any] | None]


@dataclass(frozen=True, slots=True, eq=False, init=False, repr=False)
class Detections(Rows[Detection]):
    """The detections of one image: `boxes` f32 (N, 4), `scores` f32 (N,) in [0, 1], `class_ids` i64 (N,) from 0.

    ``class_names[class_id]`` is the name of a class; they do not count when values are compared, and may be left out.
    A model's task adds one of these, which are None otherwise:

    - `masks` are the silhouettes of N objects (task segment).
    - `keypoints` f32 (N, K, 3) are x and y in px, and how visible each point is, in [0, 1] (pose).
    - `rotated` f32 (N, 5) are centre x, y, width and height in px, and the angle in rad from the x axis towards y of
      the side that `width` measures; `boxes` enclose them (obb).
    - `probabilities` f32 (C,) are those of the classes of the whole image, which then has no rows (classify).

    How rows are chosen: `streamdet.rows.Rows`. The arrays are copies. Raises ValueError for rows that do not fit and
    for values out of range.
    """

    boxes: Float32Array
    scores: Float32Array
    class_ids: Int64Array
    class_names: Sequence[str] = field(default=(), compare=False)
    masks: Masks | None = None
    keypoints: Float32Array | None = None
    rotated: Float32Array | None = None
    probabilities: Float32Array | None = None

    def __init__(
        self,
        boxes: npt.ArrayLike,
        scores: npt.ArrayLike,
        class_ids: npt.ArrayLike,
        class_names: Sequence[str] = (),
        masks: Masks | None = None,
        keypoints: npt.ArrayLike | None = None,
        rotated: npt.ArrayLike | None = None,
        probabilities: npt.ArrayLike | None = None,
    ) -> None:
        self._fill(
            class_names,
            boxes=box_rows(boxes),
            scores=score_rows(scores),
            class_ids=whole_rows("class_ids", class_ids, 0),
            masks=masks,
            keypoints=None if keypoints is None else finite_rows("keypoints", keypoints, (None, None, 3)),
            rotated=None if rotated is None else finite_rows("rotated", rotated, (None, 5)),
        )
        whole = None if probabilities is None else score_rows(probabilities)
        object.__setattr__(self, "probabilities", whole)  # the way of dataclasses that are frozen

    def to_supervision(self) -> supervision.Detections:
        """Return the same rows as ``supervision.Detections``: `mask` if there are masks, and data['class_name'].

        data['keypoints'] (N, K, 3) and data['xyxyxyxy'] (N, 4, 2), the corners of rotated boxes, are there if ours are.
        """
        return self._to_supervision(None if self.masks is None else self.masks.to_images(range(len(self))))

    def _row(self, index: int | np.integer[Any]) -> Detection:
        return self._detection(index)

    @classmethod
    def from_supervision(cls, detections: supervision.Detections) -> Detections:
        """Return the rows of `detections`; raises ValueError when confidence or class ids are missing."""
        confidence, class_id = detections.confidence, detections.class_id
        if confidence is None or class_id is None:
            raise ValueError("supervision.Detections must carry confidence and class_id")
        return cls(detections.xyxy, confidence, class_id)


@dataclass(frozen=True, slots=True, eq=False, init=False, repr=False)
class Tracks(Rows[Track]):
    """The confirmed tracks of one frame, one per row.

    - `ids` i64 (M,) are at least 1 and never reused.
    - `boxes` f32 (M, 4), `scores` f32 (M,), `class_ids` i64 (M,) and `class_names` are as in `Detections`.
    - `detection_index` i64 (M,) is the row in the frame's `Detections`, -1 if the object is hidden for a moment and its
      box predicted.
    - `keypoints` and `rotated` are as in `Detections`, None unless the model's task has them. Masks are those of the
      detections: a hidden object shows none.
    - `amendments` are what the frame shows of earlier ids.

    How rows are chosen: `streamdet.rows.Rows`. The arrays are copies. Raises ValueError for rows that do not fit and
    for values out of range.
    """

    ids: Int64Array
    boxes: Float32Array
    scores: Float32Array
    class_ids: Int64Array
    detection_index: Int64Array
    class_names: Sequence[str] = field(default=(), compare=False)
    keypoints: Float32Array | None = None
    rotated: Float32Array | None = None
    amendments: tuple[Amendment, ...] = ()

    def __init__(
        self,
        ids: npt.ArrayLike,
        boxes: npt.ArrayLike,
        scores: npt.ArrayLike,
        class_ids: npt.ArrayLike,
        detection_index: npt.ArrayLike,
        class_names: Sequence[str] = (),
        keypoints: npt.ArrayLike | None = None,
        rotated: npt.ArrayLike | None = None,
        amendments: Sequence[Amendment] = (),
    ) -> None:
        object.__setattr__(self, "amendments", tuple(amendments))
        self._fill(
            class_names,
            ids=whole_rows("ids", ids, 1),
            boxes=box_rows(boxes),
            scores=score_rows(scores),
            class_ids=whole_rows("class_ids", class_ids, 0),
            detection_index=whole_rows("detection_index", detection_index, -1),
            keypoints=None if keypoints is None else finite_rows("keypoints", keypoints, (None, None, 3)),
            rotated=None if rotated is None else finite_rows("rotated", rotated, (None, 5)),
        )
        if len(set(self.ids.tolist())) < len(self.ids):
            raise ValueError(f"ids must be unique, got {self.ids.tolist()!s:.80}")

    def to_supervision(self) -> supervision.Detections:
        """Return the same rows as ``supervision.Detections``.

        They have `tracker_id`, data['detection_index'] and what those of `Detections` have in data. With masks:
        `Result.to_supervision`.
        """
        return self._to_supervision(tracker_id=self.ids.copy(), detection_index=self.detection_index)

    def _row(self, index: int | np.integer[Any]) -> Track:
        predicted = bool(self.detection_index[index] < 0)
        return Track(int(self.ids[index]), *self._detection(index), predicted)

    @classmethod
    def from_supervision(cls, detections: supervision.Detections) -> Tracks:
        """Return the rows of `detections`; raises ValueError when a column of Tracks is missing."""
        columns = (detections.tracker_id, detections.confidence, detections.class_id)
        if any(column is None for column in columns) or "detection_index" not in detections.data:
            raise ValueError("supervision.Detections must carry tracker_id, confidence, class_id and detection_index")
        ids, scores, class_ids = columns
        return cls(ids, detections.xyxy, scores, class_ids, detections.data["detection_index"])
