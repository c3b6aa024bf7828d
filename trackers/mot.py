"""MOT text files: reading detections, tracks, ground truth and camera motion, writing tracks.

A row is a box, ``frame,id,x,y,width,height,confidence,...``: frames count from 1, x and y are the top left corner, all
in px. Format: Leal-Taixé et al., MOTChallenge 2015, arXiv 1504.01942, section 3.3; Milan et al., MOT16, arXiv
1603.00831.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trackers.types import BoolArray, FloatArray, IntArray

_EXACT = 2.0**53  # the largest magnitude up to which float64 holds every whole number
_BOX_COLUMNS = 6  # frame, id, x, y, width, height
_SCORE = 6  # the column of the confidence
_PERCENT = 100
_AFFINE_COLUMNS = 7  # frame index and a 2 x 3 matrix


class MotRows(NamedTuple):
    """The boxes of a whole sequence, detections or tracks, frames ascending.

    `frames` i64 (N,), counted from 1; `ids` i64 (N,), -1 for detections; `boxes` f64 (N, 4) x1, y1, x2, y2 in px;
    `scores` f64 (N,); `class_ids` i64 (N,).
    """

    frames: IntArray
    ids: IntArray
    boxes: FloatArray
    scores: FloatArray
    class_ids: IntArray

    @classmethod
    def concatenate(cls, parts: list[MotRows]) -> MotRows:
        """Return the rows of all `parts`, in order; no parts give no rows."""
        parts = [_NO_ROWS, *parts]
        return cls(
            frames=np.concatenate([part.frames for part in parts]),
            ids=np.concatenate([part.ids for part in parts]),
            boxes=np.concatenate([part.boxes for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            class_ids=np.concatenate([part.class_ids for part in parts]),
        )

    def select(self, rows: IntArray | BoolArray | slice) -> MotRows:
        """Return the rows that a mask, indices or a slice select."""
        return MotRows(self.frames[rows], self.ids[rows], self.boxes[rows], self.scores[rows], self.class_ids[rows])


_NO_ROWS = MotRows(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True)
class MotTable:
    """The rows of one MOT file of tracks or ground truth, in the order and the units of the file.

    `lines`, `frames`, `ids` i64 (N,): line in the file, frame and id; `boxes` f64 (N, 4): x, y of the top left corner,
    width, height in px; `extra` f64 (N, C): the columns that follow.
    """

    path: Path
    lines: IntArray
    frames: IntArray
    ids: IntArray
    boxes: FloatArray
    extra: FloatArray

    def __len__(self) -> int:
        return len(self.frames)

    def window(self, first: int, last: int) -> MotTable:
        """Return the rows of frames `first` to `last`, renumbered from 1."""
        rows = self.select((self.frames >= first) & (self.frames <= last))
        return replace(rows, frames=rows.frames - (first - 1))

    def select(self, rows: IntArray | BoolArray) -> MotTable:
        """Return the rows that a mask or indices select."""
        return MotTable(
            self.path, self.lines[rows], self.frames[rows], self.ids[rows], self.boxes[rows], self.extra[rows]
        )

    def require(self, good: BoolArray, expected: str, values: FloatArray | IntArray) -> None:
        """Raise ValueError, with path and line, for the first row where `good` is False.

        The message says what was `expected` and which of `values` (N,) was found.
        """
        _require(self.path, self.lines, good, expected, values)


def read_mot(path: Path, *, length: int, extra_columns: int = 0) -> MotTable:
    """Return the rows of the MOT file of tracks or ground truth at `path`.

    `length` is the number of frames of the sequence; `extra_columns` the least number of columns after the box.
    Raises ValueError, with path and line, for a file that cannot be read, a malformed row, a frame outside the
    sequence, a negative id or size, and an id that occurs twice in a frame.
    """
    lines: list[int] = []
    rows: list[list[float]] = []
    columns = _BOX_COLUMNS + extra_columns
    expected = "comma-separated finite numbers frame,id,x,y,width,height,..."
    for number, row in _rows(path, expected, kind="MOT text file"):
        wanted = f"{len(rows[0])} columns as in the rows above" if rows else f"at least {columns} columns"
        if len(row) < columns or (rows and len(row) != len(rows[0])):
            raise ValueError(f"{path}, line {number}: expected {wanted}, found {len(row)}")
        lines.append(number)
        rows.append(row)
    values = np.array(rows, np.float64).reshape(len(rows), -1 if rows else columns)
    frames, ids = values[:, 0], values[:, 1]
    whole_frames, whole_ids = frames.astype(np.int64), ids.astype(np.int64)
    table = MotTable(path, np.array(lines, np.int64), whole_frames, whole_ids, values[:, 2:6], values[:, 6:])
    for name, column in (("frame", frames), ("id", ids)):
        table.require(column == np.trunc(column), f"a whole number as {name}", column)
    within = (table.frames >= 1) & (table.frames <= length)
    table.require(within, f"a frame from 1 to {length}, the length of the sequence", table.frames)
    table.require(table.ids >= 0, "an id of 0 or more", table.ids)
    for name, column in (("width", table.boxes[:, 2]), ("height", table.boxes[:, 3])):
        table.require(column >= 0, f"a {name} of 0 px or more", column)
    _require_unique_ids(table)
    return table


def read_detections(path: Path | str) -> MotRows:
    """Return the detections in the MOT file at `path`, ordered by frame, and within a frame as in the file.

    The confidence, column 7, is 1 where it is missing. The id is ignored, and so are later columns, whose meaning
    differs between benchmarks; all classes are 0. Raises ValueError, with path and line, for a file that cannot be read
    and a row that is no box.
    """
    lines, table = [], []
    for number, row in _rows(path, "comma-separated numbers frame,id,x,y,width,height,confidence"):
        if len(row) < _BOX_COLUMNS:
            raise ValueError(f"{path}, line {number}: expected at least {_BOX_COLUMNS} columns, found {len(row)}")
        lines.append(number)
        table.append([*row[:_BOX_COLUMNS], row[_SCORE] if len(row) > _SCORE else 1.0])
    rows = np.array(table, np.float64).reshape(-1, _BOX_COLUMNS + 1)
    frames, smaller_side = rows[:, 0], rows[:, 4:6].min(axis=1)
    _require(path, lines, (frames >= 1) & (frames % 1 == 0), "a whole frame number from 1", frames)
    _require(path, lines, smaller_side >= 0, "a width and height of 0 px or more", smaller_side)
    rows = rows[np.argsort(frames, kind="stable")]
    boxes = np.hstack([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]])
    ids = np.full(len(rows), -1)
    return MotRows(rows[:, 0].astype(np.int64), ids, boxes, rows[:, _SCORE], np.zeros_like(ids))


def with_unit_scores(rows: MotRows, path: Path | str) -> tuple[MotRows, str | None]:
    """Return `rows`, read from `path`, with scores from 0 to 1, and a sentence if they had been percentages, else None.

    They are if they go up to 100 at most and more than half are above 2. Raises ValueError for any other score beyond
    0 to 1.
    """
    scores = rows.scores
    outside = scores[(scores < 0) | (scores > 1)]
    if not len(outside):
        return rows, None
    if np.median(scores) <= 2 or scores.min() < 0 or scores.max() > _PERCENT:
        raise ValueError(f"expected confidences from 0 to 1 in {path}, found {outside[0]:g}")
    sentence = f"{path}: confidences up to {scores.max():g} are taken for percentages, and divided by {_PERCENT}"
    return rows._replace(scores=scores / _PERCENT), sentence


def read_camera_motion(path: Path | str) -> FloatArray:
    """Return the camera motions f64 (F, 2, 3) in the file at `path`: affines in px, entry k from frame k to k + 1.

    A line holds the frame's index from 0, then the matrix from the previous frame to this one, row by row, separated by
    blanks or commas. Frames count from 1, so entry 0 has no previous frame and becomes the identity. Raises ValueError,
    with path and line, for a file that cannot be read, a row that is no such matrix and an index out of order.
    """
    motions: list[list[float]] = []
    for number, row in _rows(path, "an index and the six numbers of a 2 x 3 matrix", separator=r"[\s,]+"):
        if len(row) != _AFFINE_COLUMNS:
            raise ValueError(f"{path}, line {number}: expected {_AFFINE_COLUMNS} columns, found {len(row)}")
        if row[0] != len(motions):
            raise ValueError(f"{path}, line {number}: expected frame index {len(motions)}, found {row[0]:g}")
        motions.append(row[1:])
    affines = np.array(motions, np.float64).reshape(-1, 2, 3)
    affines[:1] = np.eye(2, 3)
    return affines


def write_tracks(path: Path | str, rows: MotRows) -> None:
    """Write `rows` to `path` as MOT results: ``frame,id,x,y,width,height,score,-1,-1,-1``, px to two decimals.

    The last three columns are a position in the world, which is unknown; there is no column for a class. An existing
    file is replaced once the new one is complete. Raises OSError when `path` cannot be written.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file():  # a pipe or a device cannot be replaced
        target.write_text(_text(rows), encoding="ascii")
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        partial.write_text(_text(rows), encoding="ascii")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _text(rows: MotRows) -> str:
    """Return `rows` as the text of a MOT file."""
    columns = (column.tolist() for column in rows[:4])
    return "".join(
        f"{frame},{track_id},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{score:.4f},-1,-1,-1\n"
        for frame, track_id, (x1, y1, x2, y2), score in zip(*columns, strict=True)
    )


def _rows(
    path: Path | str, expected: str, *, kind: str = "text file", separator: str = ","
) -> Iterator[tuple[int, list[float]]]:
    """Yield line number and numbers of each line that is not blank; `separator` is a regular expression.

    Raises ValueError for a file that cannot be read, in which `kind` names the file, and for a line that is not
    `expected`: with a field that is no number, not finite or too large.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # with or without a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "bytes that are not UTF-8 text"
        raise ValueError(f"expected a {kind} at {path}, found: {reason}") from None
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip().rstrip(", ")
        if not stripped:
            continue
        fields = re.split(separator, stripped)
        try:
            row = [float(field) for field in fields]
        except ValueError:
            row = [np.nan]
        if not all(abs(value) <= _EXACT for value in row):
            raise ValueError(f"{path}, line {number}: expected {expected}, found {','.join(fields)[:60]!r}")
        yield number, row


def _require_unique_ids(table: MotTable) -> None:
    """Raise ValueError for the first id that occurs twice in a frame."""
    order = np.lexsort((table.lines, table.ids, table.frames))
    frames, ids = table.frames[order], table.ids[order]
    again = np.flatnonzero((frames[1:] == frames[:-1]) & (ids[1:] == ids[:-1]))
    if len(again):
        first, second = order[again[0]], order[again[0] + 1]
        raise ValueError(
            f"{table.path}, line {table.lines[second]}: expected every id once in a frame, "
            f"found id {table.ids[second]} of frame {table.frames[second]} already on line {table.lines[first]}"
        )


def _require(
    path: Path | str, lines: Sequence[int] | IntArray, good: BoolArray, expected: str, values: FloatArray | IntArray
) -> None:
    """Raise ValueError for the first of `lines` (N,) where `good` is False: what was `expected`, and its value."""
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(f"{path}, line {lines[row]}: expected {expected}, found {values[row]:g}")
