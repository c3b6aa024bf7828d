"""Label files in YOLO format: a line ``class cx cy w h`` for each object, in fractions of the image."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from streamdet.errors import MAX_SHOWN, printable
from streamdet.files import read_text
from streamdet.types import Float32Array, Int64Array

FaultKind = Literal["unreadable", "not a box", "unknown class", "out of range", "duplicate", "score ignored"]

# A thousand outlines of a thousand points; a larger file with the name of a label file is something else.
MAX_FILE_BYTES = 16 << 20

# The distance that a box may cross the edge of the image by rounding, as a fraction of the image.
_ROUNDING = 0.01

_ClassBox = tuple[int, tuple[float, ...]]  # class, xyxy in fractions of the image


class _Row(NamedTuple):
    class_id: int
    box: tuple[float, ...]  # xyxy in fractions of the image
    has_score: bool

    @property
    def clipped(self) -> _ClassBox:
        """The class, and the part of the box that is inside the image."""
        return self.class_id, tuple(min(max(side, 0.0), 1.0) for side in self.box)

    @property
    def has_area(self) -> bool:
        """Whether a part of the box is inside the image."""
        _, (x1, y1, x2, y2) = self.clipped
        return x2 > x1 and y2 > y1


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
    def from_rows(cls, rows: Collection[_ClassBox]) -> Objects:
        """Return the objects with the class ids and boxes of `rows`."""
        class_ids = np.array([class_id for class_id, _ in rows], np.int64)
        return cls(class_ids, np.array([box for _, box in rows], np.float32).reshape(-1, 4))


def read_labels(path: Path, class_count: int, keypoint_values: int = 0) -> tuple[Objects, list[Fault]]:
    """Return the objects in the file at `path` and its faults; a missing file has no objects and no faults.

    - Lines without a box of a known class, and repeated lines, are left out; boxes are clipped to the image.
    - In a line ``class cx cy w h ...`` the box may be followed by `keypoint_values` numbers, the key points of a pose.
    - Without key points, a line with more numbers is a polygon ``class x y x y ...``, and its box encloses it.
    - A score in [0, 1] at the end of a line is ignored.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return Objects.from_rows([]), [Fault("unreadable", 0, f"larger than {MAX_FILE_BYTES >> 20} MB")]
        lines = read_text(path).splitlines()
    except FileNotFoundError:
        return Objects.from_rows([]), []
    except UnicodeDecodeError:
        return Objects.from_rows([]), [Fault("unreadable", 0, "expected text in UTF-8")]
    except OSError as error:
        return Objects.from_rows([]), [Fault("unreadable", 0, error.strerror or "cannot be read")]
    rows: dict[_ClassBox, None] = {}
    faults: list[Fault] = []
    for number, line in enumerate(lines, 1):
        row = _row(line, keypoint_values)
        faults += [
            Fault(kind, number, printable(line.strip()[:MAX_SHOWN]))
            for kind in _fault_kinds(line, row, class_count, rows)
        ]
        if row and 0 <= row.class_id < class_count and row.has_area:
            rows[row.clipped] = None
    return Objects.from_rows(rows), faults


def format_label(class_id: int, box: Float32Array, image_hw: tuple[int, int]) -> str:
    """Return the line for an object with the xyxy `box` f32 (4,) in px, in an image of `image_hw` px."""
    height, width = image_hw
    x1, y1, x2, y2 = (float(side) for side in box)
    numbers = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join([str(class_id), *(f"{number:.6f}" for number in numbers)])


def _row(line: str, keypoint_values: int) -> _Row | None:
    """Return the class and the box of a line, None if it is in none of the formats."""
    try:
        class_id, *numbers = map(float, line.split())
    except ValueError:
        return None
    if not all(map(math.isfinite, (class_id, *numbers))) or class_id != int(class_id):
        return None
    count, boxed = len(numbers), (4, 4 + keypoint_values)
    if not keypoint_values and count >= 6:
        points, has_score = numbers[: count // 2 * 2], count % 2 == 1
        xs, ys = points[::2], points[1::2]
        box = min(xs), min(ys), max(xs), max(ys)
    elif count in boxed or count - 1 in boxed:
        has_score = count not in boxed
        cx, cy, w, h = numbers[:4]
        box = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    else:
        return None
    if has_score and not 0 <= numbers[-1] <= 1:
        return None
    return _Row(int(class_id), box, has_score)


def _fault_kinds(line: str, row: _Row | None, class_count: int, before: Collection[_ClassBox]) -> Iterator[FaultKind]:
    """Yield the faults of a `line`, parsed as `row`, that follows the clipped rows `before`."""
    if row is None or not row.has_area:
        if line.strip():
            yield "not a box"
        return
    if not 0 <= row.class_id < class_count:
        yield "unknown class"
    if min(row.box) < -_ROUNDING or max(row.box) > 1 + _ROUNDING:
        yield "out of range"
    if row.clipped in before:
        yield "duplicate"
    if row.has_score:
        yield "score ignored"
