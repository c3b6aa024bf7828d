"""Arrays of values: read-only, checked once, and compared by content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt


class Value:
    """Base class of frozen dataclasses that hold arrays, which compare by content.

    Copies, pickled ones too, are made by the constructor, so that their arrays are read-only as well. A value has no
    hash: the `source_id` and `index` of its frame are a key.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_equal(ours, theirs) for ours, theirs in zip(_compared(self), _compared(other), strict=True))

    def __hash__(self) -> int:
        name = type(self).__name__
        raise TypeError(f"{name} has no hash, it is compared by content: use source_id and index of the frame as a key")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]


def _compared(value: Any) -> list[Any]:
    return [getattr(value, field.name) for field in fields(value) if field.compare]


def _equal(ours: Any, theirs: Any) -> bool:
    """Return whether two values are equal in content: arrays, and tuples, lists and mappings that hold arrays."""
    if isinstance(ours, np.ndarray) or isinstance(theirs, np.ndarray):
        return np.array_equal(ours, theirs)
    if type(ours) is not type(theirs):
        return bool(ours == theirs)
    if isinstance(ours, tuple | list):
        return len(ours) == len(theirs) and all(map(_equal, ours, theirs))
    if isinstance(ours, Mapping):
        return ours.keys() == theirs.keys() and all(_equal(ours[key], theirs[key]) for key in ours)
    return bool(ours == theirs)


def frozen(
    name: str, values: npt.ArrayLike, dtype: npt.DTypeLike, shape: tuple[int | None, ...], *, shared: bool = False
) -> npt.NDArray[Any]:
    """Return `values` as a read-only array of `dtype`: a copy, or with `shared` a view, for images.

    Raises ValueError unless they are numbers of `shape`, where None matches any length.
    """
    array = _converted(_numbers(name, values), np.dtype(dtype))
    if array.size == 0 and len(shape) > 1:
        inner = array.shape[1:] if array.ndim == len(shape) else (0,) * len(shape[1:])
        array = array.reshape([0, *(m if n is None else n for n, m in zip(shape[1:], inner, strict=True))])
    if len(array.shape) != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        expected = tuple("N" if n is None else n for n in shape)
        raise ValueError(f"{name} must have shape {expected}, got {array.shape}")
    array = array.view() if shared else array.copy()
    array.flags.writeable = False
    return array


def _numbers(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return `values` as an array of real numbers; raises ValueError for any other type and for unequal rows."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} must be numbers in rows of equal length") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be real numbers, got {array.dtype}")
    return array


def _converted(array: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore", invalid="ignore"):  # a number that does not fit is found as one out of range
        return array.astype(dtype)


def box_rows(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return `values` as boxes f32 (N, 4); raises ValueError for coordinates that are not finite."""
    return finite_rows("boxes", values, (None, 4))


def finite_rows(name: str, values: npt.ArrayLike, shape: tuple[int | None, ...]) -> npt.NDArray[np.float32]:
    """Return `values` as f32 of `shape`, as for `frozen`; raises ValueError for numbers that are not finite."""
    rows = frozen(name, values, np.float32, shape)
    finite = np.isfinite(rows)
    if not finite.all():
        raise ValueError(f"{name} must be finite numbers, got {rows[~finite][0]}")
    return rows


def score_rows(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return `values` as scores f32 (N,); raises ValueError for one outside 0 to 1."""
    scores = frozen("scores", values, np.float32, (None,))
    # The extremes of scores with a NaN are NaN, which is not in the range.
    if len(scores) and not (scores.min() >= 0 and scores.max() <= 1):
        good = (scores >= 0) & (scores <= 1)
        raise ValueError(f"scores must be between 0 and 1, got {scores[~good][0]:g}")
    return scores


def whole_rows(name: str, values: npt.ArrayLike, least: int) -> npt.NDArray[np.int64]:
    """Return `values` as i64 (N,); raises ValueError for one that is no whole number from `least`."""
    array = _numbers(name, values)
    numbers = frozen(name, array, np.int64, (None,))
    if len(numbers) and (numbers.min() < least or (array.dtype != np.int64 and not np.array_equal(numbers, array))):
        good = (numbers >= least) & (numbers == array)
        raise ValueError(f"{name} must be whole numbers, at least {least}, got {array[~good][0]}")
    return numbers
