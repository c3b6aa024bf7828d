"""Label files in YOLO format: a line ``class cx cy w h`` for each object, in fractions of the image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from streamdet.types import Float32Array, Int64Array

FaultKind = Literal["unreadable", "not a box", "unknown class", "out of range", "duplicate"]

_Row = tuple[int, tuple[float, ...]]  # class, xyxy in fractions of the image

# The distance that a box may cross the edge of the image by rounding, as a fraction of the image.
_ROUNDING = 0.01


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in one line of a label file, counted from 1, or in the whole file, line 0; `found` is the line's text."""

    kind: FaultKind
    line: int
    found: str


@dataclass(frozen=True, slots=True)
class Objects:
    """The labelled objects of one image: `class_ids` i64 (N,), `boxes` f32 (N, 4) xyxy in fractions of the image."""

    class_ids: Int64Array
    boxes: Float32Array

    @classmethod
    def from_rows(cls, rows: list[_Row]) -> Objects:
        """Return the objects with the class ids and boxes of `rows`."""
        class_ids = np.array([class_id for class_id, _ in rows], np.int64)
        return cls(class_ids, np.array([box for _, box in rows], np.float32).reshape(-1, 4))


def read_labels(path: Path, class_count: int) -> tuple[Objects, list[Fault]]:
    """Return the objects in the file at `path` and its faults; a missing file has no objects and no faults.

    Lines without a box of a known class, and repeated lines, are left out; boxes are clipped to the image. A line with
    more numbers is a polygon ``class x y x y ...``, and its box is the one that encloses it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return Objects.from_rows([]), []
    except (OSError, UnicodeDecodeError) as error:
        return Objects.from_rows([]), [Fault("unreadable", 0, str(error))]
    rows: list[_Row] = []
    faults: list[Fault] = []
    for number, line in enumerate(lines, 1):
        row = _row(line)
        faults += [Fault(kind, number, line.strip()) for kind in _fault_kinds(line, row, class_count, rows)]
        if row and 0 <= row[0] < class_count and _has_area(row) and _clipped(row) not in rows:
            rows.append(_clipped(row))
    return Objects.from_rows(rows), faults


def format_label(class_id: int, box: Float32Array, image_hw: tuple[int, int]) -> str:
    """Return the line for an object with the xyxy `box` f32 (4,) in px, in an image of `image_hw` px."""
    height, width = image_hw
    x1, y1, x2, y2 = (float(side) for side in box)
    numbers = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join([str(class_id), *(f"{number:.6f}" for number in numbers)])


def _row(line: str) -> _Row | None:
    """Return the class and the box of a line, None if it is not one of the two formats."""
    try:
        class_id, *numbers = (float(word) for word in line.split())
    except ValueError:
        return None
    if not np.isfinite([class_id, *numbers]).all() or class_id != int(class_id):
        return None
    if len(numbers) == 4:
        cx, cy, w, h = numbers
        return int(class_id), (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
    if len(numbers) >= 6 and len(numbers) % 2 == 0:
        xs, ys = numbers[::2], numbers[1::2]
        return int(class_id), (min(xs), min(ys), max(xs), max(ys))
    return None


def _fault_kinds(line: str, row: _Row | None, class_count: int, before: list[_Row]) -> Iterator[FaultKind]:
    """Yield the faults of a `line`, parsed as `row`, that follows the rows `before`."""
    if row is None or not _has_area(row):
        if line.strip():
            yield "not a box"
        return
    if not 0 <= row[0] < class_count:
        yield "unknown class"
    if min(row[1]) < -_ROUNDING or max(row[1]) > 1 + _ROUNDING:
        yield "out of range"
    if _clipped(row) in before:
        yield "duplicate"


def _clipped(row: _Row) -> _Row:
    class_id, box = row
    return class_id, tuple(min(max(side, 0.0), 1.0) for side in box)


def _has_area(row: _Row) -> bool:
    """Return whether a part of the box is inside the image."""
    _, (x1, y1, x2, y2) = _clipped(row)
    return x2 > x1 and y2 > y1
