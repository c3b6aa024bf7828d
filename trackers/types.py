"""What a tracker takes in and gives out for one frame: parallel arrays, a row each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Tracks(NamedTuple):
    """The confirmed tracks that a tracker reports in a frame, in order of birth.

    `ids` i64 (M,), at least 1, unique and never reused; `boxes` f64 (M, 4) x1, y1, x2, y2 in px; `scores` f64 (M,) of
    the last matched detection; `class_ids` i64 (M,), each track's vote; `detection_index` i64 (M,), the row of the
    detection that supports the track in this frame, -1 where a tracker predicts a track that is hidden for a moment.
    """

    ids: IntArray
    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray
    detection_index: IntArray


class Observations(NamedTuple):
    """The detections of one frame, checked.

    `boxes` f64 (N, 4) x1, y1, x2, y2 in px; `scores` f64 (N,); `class_ids` i64 (N,).
    """

    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray

    @classmethod
    def checked(cls, boxes: npt.ArrayLike, scores: npt.ArrayLike, class_ids: npt.ArrayLike) -> Observations:
        """Return the rows as arrays of the documented types; raises ValueError on unequal rows or values not finite."""
        scores = np.asarray(scores, np.float64)
        count = len(scores)
        return cls(
            boxes=checked_rows("boxes", boxes, (count, 4)),
            scores=checked_rows("scores", scores, (count,)),
            class_ids=checked_rows("class_ids", class_ids, (count,)).astype(np.int64),
        )


def checked_rows(name: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """Return `values` as f64; -1 in `shape` matches any length, and an empty list any shape without rows."""
    array = np.asarray(values, np.float64)
    if array.size == 0 and shape[0] == 0:
        return array.reshape([max(length, 0) for length in shape])
    if array.ndim != len(shape) or any(want not in (-1, got) for want, got in zip(shape, array.shape, strict=True)):
        expected = tuple("D" if want == -1 else want for want in shape)
        raise ValueError(f"{name} must have shape {expected}, one row per score, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers, got NaN or infinity")
    return array


def unit(vectors: FloatArray) -> FloatArray:
    """Return `vectors` (N, D) at unit length; a zero vector, which means unknown, stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
