"""Reads MOT text files: a row per box, ``frame,id,x,y,width,height,...``, frames from 1, pixels.

Format: Leal-Taixé et al., MOTChallenge 2015, arXiv 1504.01942, section 3.3; Milan et al., MOT16, arXiv 1603.00831.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamdet.errors import InputError
from streamdet.types import Float64Array

# The largest magnitude up to which float64 holds every whole number.
_EXACT = 2.0**53
_HEAD = ("frame", "id", "x", "y", "width", "height")


@dataclass(frozen=True, slots=True)
class MotTable:
    """The rows of one MOT file.

    `lines`, `frames`, `ids` i64 (N,): line in the file, frame and identity; `boxes` f64 (N, 4): x, y of the top left
    corner, width, height in px; `extra` f64 (N, C): the columns that follow.
    """

    path: Path
    lines: npt.NDArray[np.int64]
    frames: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    boxes: Float64Array
    extra: Float64Array

    def __len__(self) -> int:
        return len(self.frames)

    def window(self, first: int, last: int) -> MotTable:
        """Return the rows of frames `first` to `last`, renumbered from 1."""
        keep = (self.frames >= first) & (self.frames <= last)
        return MotTable(
            self.path,
            self.lines[keep],
            self.frames[keep] - (first - 1),
            self.ids[keep],
            self.boxes[keep],
            self.extra[keep],
        )


def read_mot(path: Path, *, length: int, extra_columns: int = 0) -> MotTable:
    """Return the rows of the MOT file at `path`, checked.

    `length` is the number of frames of the sequence; `extra_columns` the least number of columns after the box.
    Raises InputError for an unreadable file, a malformed row, a frame outside the sequence, a negative id or size,
    and an id that occurs twice in a frame.
    """
    lines, rows = _numbers(path, len(_HEAD) + extra_columns)
    table = MotTable(path, lines, rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64), rows[:, 2:6], rows[:, 6:])
    for column in (0, 1):
        expected = f"a whole number as {_HEAD[column]}"
        require(table, rows[:, column] == np.trunc(rows[:, column]), expected, rows[:, column])
    within = (table.frames >= 1) & (table.frames <= length)
    require(table, within, f"a frame from 1 to {length}, the length of the sequence", table.frames)
    require(table, table.ids >= 0, "an id of 0 or more", table.ids)
    for column, name in ((2, "width"), (3, "height")):
        require(table, table.boxes[:, column] >= 0, f"a {name} of 0 px or more", table.boxes[:, column])
    _require_unique_ids(table)
    return table


def require(table: MotTable, good: npt.NDArray[np.bool_], expected: str, values: npt.NDArray[np.generic]) -> None:
    """Raise InputError naming the first line of `table` where `good` is False, what was expected and its value."""
    if not good.all():
        row = int(np.argmin(good))
        raise InputError(f"{table.path}, line {table.lines[row]}: expected {expected}, found {values[row]:g}")


def _numbers(path: Path, columns: int) -> tuple[npt.NDArray[np.int64], Float64Array]:
    """Return the line numbers (N,) and the values (N, C), with C at least `columns`, of the rows that are not blank."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "bytes that are not UTF-8 text"
        raise InputError(f"expected a MOT text file at {path}, found: {reason}") from None
    lines: list[int] = []
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            lines.append(number)
            rows.append(_row(path, number, line))
            wanted = f"at least {columns} columns" if len(rows) == 1 else f"{len(rows[0])} columns as in the rows above"
            if len(rows[-1]) < columns or len(rows[-1]) != len(rows[0]):
                raise InputError(f"{path}, line {number}: expected {wanted}, found {len(rows[-1])}")
    width = len(rows[0]) if rows else columns
    return np.array(lines, np.int64), np.array(rows, np.float64).reshape(len(rows), width)


def _row(path: Path, number: int, line: str) -> list[float]:
    try:
        values = [float(field) for field in line.rstrip(", \t").split(",")]
    except ValueError:
        values = [np.nan]
    if not (np.abs(values) <= _EXACT).all():
        expected = f"comma-separated finite numbers {','.join(_HEAD)},..."
        raise InputError(f"{path}, line {number}: expected {expected}, found {line.strip()[:60]!r}")
    return values


def _require_unique_ids(table: MotTable) -> None:
    order = np.lexsort((table.lines, table.ids, table.frames))
    frames, ids = table.frames[order], table.ids[order]
    again = np.flatnonzero((frames[1:] == frames[:-1]) & (ids[1:] == ids[:-1]))
    if len(again):
        first, second = order[again[0]], order[again[0] + 1]
        raise InputError(
            f"{table.path}, line {table.lines[second]}: expected every id once in a frame, "
            f"found id {table.ids[second]} of frame {table.frames[second]} already on line {table.lines[first]}"
        )
