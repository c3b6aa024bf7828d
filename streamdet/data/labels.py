"""Label files in YOLO format: a line for each object, its class, then its box or shape in fractions of the image.

The lines of tasks: ``class cx cy w h`` (detect), ``class x y x y …`` (segment), ``class cx cy w h x y v …`` (pose) and
``class x1 y1 … x4 y4`` (obb).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from streamdet.data.shapes import Corners, KeyPoints, Shapes
from streamdet.errors import MAX_SHOWN, printable
from streamdet.files import read_text
from streamdet.types import Float32Array, Int64Array

FaultKind = (
    Literal["unreadable", "not a box", "unknown class", "out of range", "duplicate", "score ignored"]
    | Literal["not a polygon", "not a pose", "not four corners"]
)
_NOT: dict[str, FaultKind] = {"segment": "not a polygon", "pose": "not a pose", "obb": "not four corners"}

# A thousand outlines of a thousand points; a larger file with the name of a label file is something else.
MAX_FILE_BYTES = 16 << 20

# The distance that a box may cross the edge of the image by rounding, as a fraction of the image.
_ROUNDING = 0.01
_FAR = 9.0  # the largest distance of a point from the image that is told from others, in images


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """The content of label lines: objects for a `task`, with K key points of D numbers if `kpt_shape` is (K, D).

    `flip_idx` is that of `streamdet.data.shapes.KeyPoints`. Other tasks than pose leave out key points.
    """

    task: str = "detect"
    kpt_shape: tuple[int, int] = (0, 0)
    flip_idx: tuple[int, ...] = ()

    @property
    def keypoint_values(self) -> int:
        """How many numbers follow a box."""
        return math.prod(self.kpt_shape)

    def shapes(self, rows: Collection[_Row]) -> Shapes | None:
        """Return the shapes of `rows` inside the image, None for a task that knows boxes alone."""
        if self.task not in _NOT:
            return None
        width = 3 if self.task == "pose" else 2
        points = np.array([value for row in rows for value in row.points], np.float64).clip(-_FAR, _FAR)
        counts = np.array([len(row.points) // width for row in rows], np.int64)
        of_objects = points.astype(np.float32).reshape(-1, width), counts
        if self.task == "pose":
            return KeyPoints(*of_objects, self.flip_idx).within((0, 0, 1, 1))
        return Corners(*of_objects) if self.task == "obb" else Shapes(*of_objects).within((0, 0, 1, 1))


BOXES = LabelFormat()


class _Row(NamedTuple):
    class_id: int
    box: tuple[float, ...]  # xyxy in fractions of the image
    has_score: bool
    points: tuple[float, ...] = ()  # of its shape, as in `Shapes`

    @property
    def clipped(self) -> _Row:
        """The object with the part of its box that is inside the image."""
        return self._replace(box=_clipped(self.box), has_score=False)

    @property
    def has_area(self) -> bool:
        """Whether a part of the box is inside the image."""
        x1, y1, x2, y2 = _clipped(self.box)
        return x2 > x1 and y2 > y1


def _clipped(box: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(min(max(side, 0.0), 1.0) for side in box)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in one line of a label file, counted from 1, or in the whole file, line 0; `found` is the line's text."""

    kind: FaultKind
    line: int
    found: str


@dataclass(frozen=True, slots=True)
class Objects:
    """The labelled objects of one image: `class_ids` i64 (N,), `boxes` f32 (N, 4) xyxy in fractions of the image.

    `lines` i64 (N,) are their lines in the label file, counted from 1; `shapes`, in fractions of the image, are None
    for a task that knows boxes alone.
    """

    class_ids: Int64Array
    boxes: Float32Array
    lines: Int64Array
    shapes: Shapes | None = None

    @classmethod
    def from_rows(cls, rows: Mapping[_Row, int], form: LabelFormat) -> Objects:
        """Return the objects of `rows`, each with its line."""
        class_ids = np.array([row.class_id for row in rows], np.int64)
        boxes = np.array([row.box for row in rows], np.float32).reshape(-1, 4)
        return cls(class_ids, boxes, np.array(list(rows.values()), np.int64), form.shapes(rows))

    def renumbered(self, new_ids: Sequence[int]) -> Objects:
        """Return the objects with their new class ids, by class id; those whose new id is -1 are left out."""
        class_ids = np.array(new_ids, np.int64)[self.class_ids]
        kept = class_ids >= 0
        shapes = self.shapes and self.shapes.only(kept)
        return Objects(class_ids[kept], self.boxes[kept], self.lines[kept], shapes)


def read_labels(path: Path, class_count: int, form: LabelFormat = BOXES) -> tuple[Objects, list[Fault]]:
    """Return the objects in the file at `path` and its faults; a missing file has no objects and no faults.

    - Lines that are not in the format `form`, those of unknown classes, and repeated lines, are
      left out; boxes are clipped to the image, as are polygons, and key points outside of it are not labelled.
    - Where boxes are expected, a polygon is replaced by the box around it, and ``kpt_shape`` numbers of key points may
      follow a box. A pose without key points is a box alone.
    - A score in [0, 1] at the end of a line is ignored.
    """
    rows: dict[_Row, int] = {}
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return Objects.from_rows({}, form), [Fault("unreadable", 0, f"larger than {MAX_FILE_BYTES >> 20} MB")]
        lines = read_text(path).splitlines()
    except FileNotFoundError:
        return Objects.from_rows({}, form), []
    except UnicodeDecodeError:
        return Objects.from_rows({}, form), [Fault("unreadable", 0, "expected text in UTF-8")]
    except OSError as error:
        return Objects.from_rows({}, form), [Fault("unreadable", 0, error.strerror or "cannot be read")]
    faults: list[Fault] = []
    for number, line in enumerate(lines, 1):
        row = _row(line, form)
        faults += [
            Fault(kind, number, printable(line.strip()[:MAX_SHOWN]))
            for kind in _fault_kinds(line, row, class_count, rows, form)
        ]
        if row and 0 <= row.class_id < class_count and row.has_area:
            rows.setdefault(row.clipped, number)
    return Objects.from_rows(rows, form), faults


def format_label(class_id: int, box: Float32Array, image_hw: tuple[int, int]) -> str:
    """Return the line for an object with the xyxy `box` f32 (4,) in px, in an image of `image_hw` px."""
    height, width = image_hw
    x1, y1, x2, y2 = (float(side) for side in box)
    numbers = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join([str(class_id), *(f"{number:.6f}" for number in numbers)])


def format_points(class_id: int, points: Float32Array, image_hw: tuple[int, int]) -> str:
    """Return the line for an object with the outline, or the four corners, `points` f32 (P, 2) in px."""
    return " ".join([str(class_id), *(f"{number:.6f}" for number in (points / image_hw[::-1]).ravel())])


def format_pose(class_id: int, box: Float32Array, keypoints: Float32Array, image_hw: tuple[int, int]) -> str:
    """Return the line for an object with a `box` as in `format_label` and `keypoints` f32 (K, 3): x, y in px, flag."""
    height, width = image_hw
    points = (f"{x / width:.6f} {y / height:.6f} {int(flag)}" for x, y, flag in keypoints)
    return " ".join([format_label(class_id, box, image_hw), *points])


def _row(line: str, form: LabelFormat) -> _Row | None:
    """Return the class, the box and the shape of a line, None if it is not in the format."""
    try:
        class_id, *numbers = map(float, line.split())
    except ValueError:
        return None
    if not all(map(math.isfinite, (class_id, *numbers))) or class_id != int(class_id):
        return None
    count, boxed = len(numbers), (4, 4 + form.keypoint_values)
    is_outline = form.task in ("segment", "obb") or (form.task == "detect" and not form.keypoint_values and count >= 6)
    has_score = count % 2 == 1 if is_outline else count not in boxed
    if has_score and not (numbers and 0 <= numbers.pop() <= 1):
        return None
    if is_outline:
        if len(numbers) < 6 or (form.task == "obb" and len(numbers) != 8):
            return None
        xs, ys = numbers[::2], numbers[1::2]
        points = () if form.task == "detect" else tuple(numbers)
        return _Row(int(class_id), (min(xs), min(ys), max(xs), max(ys)), has_score, points)
    if len(numbers) not in boxed:
        return None
    cx, cy, w, h = numbers[:4]
    box = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    return _Row(int(class_id), box, has_score, _key_points(numbers[4:], form) if form.task == "pose" else ())


def _key_points(numbers: Sequence[float], form: LabelFormat) -> tuple[float, ...]:
    """Return x, y and visibility of each key point, 0 for all of a box alone and for a point at (0, 0)."""
    count, values = form.kpt_shape
    if not numbers:
        return (0.0,) * 3 * count
    points: list[float] = []
    for x, y, *stated in zip(*(numbers[value::values] for value in range(values)), strict=True):
        visibility = min(max(round(stated[0]), 0), 2) if stated else 2
        points += [x, y, visibility if (x, y) != (0, 0) else 0]
    return tuple(points)


def _fault_kinds(
    line: str, row: _Row | None, class_count: int, before: Collection[_Row], form: LabelFormat
) -> Iterator[FaultKind]:
    """Yield the faults of a `line`, parsed as `row`, that follows the clipped rows `before`."""
    if row is None or not row.has_area:
        if line.strip():
            yield _NOT.get(form.task, "not a box")
        return
    if not 0 <= row.class_id < class_count:
        yield "unknown class"
    numbers = _inside_image(row, form)
    if min(numbers) < -_ROUNDING or max(numbers) > 1 + _ROUNDING:
        yield "out of range"
    if row.clipped in before:
        yield "duplicate"
    if row.has_score:
        yield "score ignored"


def _inside_image(row: _Row, form: LabelFormat) -> list[float]:
    """Return x and y that have to lie in the image; a rotated box may cross its edge, but for the centre."""
    x1, y1, x2, y2 = row.box
    if form.task == "obb":
        return [(x1 + x2) / 2, (y1 + y2) / 2]
    placed = zip(row.points[::3], row.points[1::3], row.points[2::3], strict=True) if form.task == "pose" else ()
    return [*row.box, *(side for x, y, visibility in placed if visibility for side in (x, y))]
