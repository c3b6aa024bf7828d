"""The inputs, outputs and settings of a tracker: arrays of one frame, appearance features, configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trackers.acceleration import accelerated
from trackers.rotated import enclosing

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
LARGEST = 2.0**53  # up to which float64 holds every whole number
# A function from rows of detections (K,) to their features (K, D).
Embed = Callable[[IntArray], npt.ArrayLike]


class Observations(NamedTuple):
    """The detections of one frame, checked.

    `boxes` f64 (N, 4) x1, y1, x2, y2 in px, in Fortran order; `scores` f64 (N,) in [0, 1]; `class_ids` i64 (N,) from 0.
    `shapes` f64 (N, 3) are those of rotated boxes, see `trackers.rotated`, which `boxes` enclose; (N, 0) of others.
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray
    shapes: FloatArray

    @classmethod
    def checked(cls, boxes: npt.ArrayLike, scores: npt.ArrayLike, class_ids: npt.ArrayLike) -> Observations:
        """Return the rows as arrays of the documented types; raises ValueError for unequal rows or bad values."""
        scores = _shaped("scores", real_numbers("scores", scores), (-1,))
        count = len(scores)
        boxes = real_numbers("boxes", boxes)
        boxes = np.asfortranarray(_shaped("boxes", boxes, (count, 5 if boxes.shape[1:] == (5,) else 4)))
        labels = _shaped("class_ids", real_numbers("class_ids", class_ids), (count,))
        require_plausible(boxes, scores, labels)
        shapes = boxes[:, 4:]
        if boxes.shape[1] == 5:
            _require("boxes", "of a width and height from 0", boxes, boxes >= [-np.inf, -np.inf, 0, 0, -np.inf])
            boxes, shapes = np.asfortranarray(enclosing(boxes)), boxes[:, 2:]
        return cls(boxes, scores, labels.astype(np.int64), shapes)


class Amendment(NamedTuple):
    """What a frame shows of two `ids` that were given out before.

    - ``same``: they are of one object. The first of them ends, the second goes on.
    - ``swapped``: `ago_s` s before this frame, each went on with the object of the other. None of other kinds.
    """

    kind: Literal["same", "swapped"]
    ids: tuple[int, int]
    ago_s: float | None = None


class Tracks(NamedTuple):
    """The confirmed tracks that a tracker reports in a frame, in order of birth.

    - `ids` i64 (M,): at least 1, unique and never reused.
    - `boxes` f64 (M, 4): x1, y1, x2, y2 in px.
    - `scores` f64 (M,): the score of the last matched detection.
    - `class_ids` i64 (M,): the class with the highest sum of scores so far.
    - `detection_index` i64 (M,): the row of the detection that was matched in this frame, -1 where the box of a hidden
      track is predicted.
    - `rotated` f64 (M, 5): the rotated boxes, whose centres are those of `boxes`; (M, 0) unless the detections are.
    - `amendments`: what the frame shows of earlier ids.
    """

    ids: IntArray
    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray
    detection_index: IntArray
    rotated: FloatArray
    amendments: tuple[Amendment, ...] = ()


class Appearance:
    """The features of the `count` detections of one frame, each computed at most once.

    `source` holds all of them, (count, D), or is a function from rows (K,) to features (K, D), which is called for the
    requested rows only (`lazy`). A zero vector means unknown. Raises ValueError for features of another shape, and of
    another `length` D, if that is given.
    """

    def __init__(self, count: int, source: npt.ArrayLike | Embed, length: int | None = None) -> None:
        self.lazy = callable(source)
        self._length = length
        self._embed: Embed | None = source if callable(source) else None
        self._known = np.zeros(count, bool)
        self._features = np.zeros((count, 0))
        if not callable(source):
            self._features = self._checked(source, count)
            self._known[:] = True

    @property
    def known(self) -> BoolArray:
        """Which detections (count,) have had their features computed."""
        return self._known

    def features(self, rows: IntArray) -> FloatArray:
        """Return the features (K, D), of unit length, of the detections `rows` (K,)."""
        new = np.unique(rows[~self._known[rows]])
        if len(new) and self._embed is not None:
            features = self._checked(self._embed(new), len(new))
            if not self._features.shape[1]:
                self._features = np.zeros((len(self._known), features.shape[1]))
            self._features[new] = features
            self._known[new] = True
        return self._features[rows]

    def _checked(self, features: npt.ArrayLike, count: int) -> FloatArray:
        features = unit(checked_rows("features", features, (count, -1)))
        if count and features.shape[1] != (self._length or features.shape[1]):
            raise ValueError(f"features must keep their length of {self._length}, got {features.shape[1]}")
        return features


@dataclass(frozen=True, slots=True)
class Config:
    """Base class of the settings of all trackers: numbers and switches.

    A name that ends in ``_s`` is a time in s, 0 or more; an int is at least 1; any other number lies between 0 and 1.
    Raises ValueError, naming the setting, when a value is out of its range.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(item.default, bool):
                continue
            if item.name.endswith("_s"):
                if not 0 <= value < np.inf:
                    raise ValueError(f"{item.name} must be a time in s, 0 or more, got {value}")
            elif isinstance(item.default, int):
                if not (isinstance(value, int) and value >= 1):
                    raise ValueError(f"{item.name} must be a whole number from 1, got {value}")
            elif not 0 <= value <= 1:
                raise ValueError(f"{item.name} must be between 0 and 1, got {value}")


def checked_rows(name: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """Return `values` as f64 of `shape`; raises ValueError, with `name`, for another shape or values not finite.

    -1 in `shape` matches any length. An empty list has any shape without rows.
    """
    array = _shaped(name, real_numbers(name, values), shape)
    _require_finite(name, array)
    return array


def _shaped(name: str, array: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return `array` of `shape` as `checked_rows` does, finite or not."""
    if array.shape == shape or (shape == (-1,) and array.ndim == 1):
        return array
    if array.size == 0 and shape[0] in (0, -1):
        return array.reshape([max(length, 0) for length in shape])
    if array.ndim != len(shape) or any(want not in (-1, got) for want, got in zip(shape, array.shape, strict=True)):
        expected = tuple("D" if want == -1 else want for want in shape)
        raise ValueError(f"{name} must have shape {expected}, one row per score, got {array.shape}")
    return array


def real_numbers(name: str, values: npt.ArrayLike) -> FloatArray:
    """Return `values` as f64; raises ValueError, with `name`, for what are no real numbers and for unequal rows."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} must be numbers in rows of equal length") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be real numbers, got {array.dtype}")
    return array.astype(np.float64, copy=not array.flags.aligned)  # compiled functions need aligned numbers


def checked_affine(values: npt.ArrayLike) -> FloatArray:
    """Return a camera motion as f64 (2, 3); raises ValueError for another shape or values that are not finite."""
    matrix = real_numbers("camera_motion", values)
    if matrix.shape != (2, 3) or not np.isfinite(matrix).all():
        raise ValueError(f"camera_motion must be 2 x 3 finite numbers, got {matrix.tolist()}")
    return matrix


@accelerated
def require_plausible(boxes: FloatArray, scores: FloatArray, class_ids: FloatArray) -> None:
    """Raise ValueError unless all numbers of `boxes` (N, 4) or (N, 5), `scores` (N,) and `class_ids` (N,) may occur."""
    _require("scores", "between 0 and 1", scores, (scores >= 0) & (scores <= 1))
    _require("boxes", "within 2^53 px of the origin", boxes, np.abs(boxes) <= LARGEST)
    whole = (class_ids >= 0) & (class_ids <= LARGEST) & (np.floor(class_ids) == class_ids)
    _require("class_ids", "whole numbers from 0 to 2^53", class_ids, whole)


def _require(name: str, expected: str, values: FloatArray, good: BoolArray) -> None:
    """Raise ValueError unless all `values` are `good`, that is, as `expected`."""
    if np.count_nonzero(good) < good.size:  # in a tenth of the time of `all`
        _require_finite(name, values)
        raise ValueError(f"{name} must be {expected}, got {values[~good][0]:g}")


def _require_finite(name: str, values: FloatArray) -> None:
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite numbers, got NaN or infinity")


def unit(vectors: FloatArray) -> FloatArray:
    """Return `vectors` (..., D) at unit length; a zero vector, which means unknown, stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
