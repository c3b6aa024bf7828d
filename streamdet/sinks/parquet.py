"""Tracks as a table in Parquet (extra ``parquet``)."""

from __future__ import annotations

import io
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from streamdet.errors import MissingExtraError, OutputError
from streamdet.result import Result
from streamdet.rows import added_columns
from streamdet.sinks.header import TracksHeader
from streamdet.sinks.sink import TrackSink

ROW_GROUP = 65_536  # rows that are written at a time


class ParquetSink(TrackSink):
    """The columns of the CSV file with their types, and the header of the run as metadata, under the key streamdet.

    Rows are written in groups, but no program can read the file before it is closed: its index stands at the end. So a
    full disk leaves an empty file. Raises MissingExtraError without pyarrow.
    """

    def __init__(self, path: Path, header: TracksHeader | None = None) -> None:
        try:
            import pyarrow.parquet
        except ImportError:
            raise MissingExtraError("pyarrow", "parquet") from None
        self._arrow: Any = pyarrow
        super().__init__(path, header)
        self._buffer = _Buffer()
        self._results: list[dict[str, Any]] = []
        self._row_count = 0
        self._added: tuple[str, ...] | None = None  # the columns of the model's task, as the first result has them

    def _rows(self, result: Result) -> bytes:
        self._results.append(_columns(result))
        if self._added is None:
            self._added = tuple(added_columns(result.tracks.keypoints, result.tracks.rotated))
        self._row_count += len(result.tracks)
        if self._row_count >= ROW_GROUP:
            self._write_group()
        return self._buffer.take()

    def _finish(self) -> bytes:
        self._write_group()
        self._writer.close()
        return self._buffer.take()

    def _save(self, text: str | bytes, *, is_last: bool = False) -> None:
        try:
            super()._save(text, is_last=is_last)
        except OutputError:
            self._disk.cut(0)
            raise

    @cached_property
    def _writer(self) -> Any:
        schema = self._schema.with_metadata({"streamdet": self._header.to_json().encode("utf-8", "replace")})
        return self._arrow.parquet.ParquetWriter(self._buffer, schema)

    @cached_property
    def _schema(self) -> Any:
        pa = self._arrow
        box = [(name, pa.float32()) for name in ("x1", "y1", "x2", "y2")]
        names = [("class_id", pa.int32()), ("class_name", pa.string()), ("predicted", pa.bool_())]
        added = [(name, pa.float32()) for name in self._added or ()]
        return pa.schema(
            [
                *(("frame", pa.int64()), ("time_s", pa.float64()), ("id", pa.int64()), *box, ("score", pa.float32())),
                *(*names, *added),
            ]
        )

    def _write_group(self) -> None:
        if self._row_count:
            columns = {name: np.concatenate([each[name] for each in self._results]) for name in self._schema.names}
            self._writer.write_table(self._arrow.table(columns, self._schema))
        self._results, self._row_count = [], 0


def _columns(result: Result) -> dict[str, Any]:
    """Return the columns of one result, arrays (M,) by name."""
    tracks, count = result.tracks, len(result.tracks)
    names = [name.encode("utf-8", "replace").decode() for name in result.class_names]
    return {
        "frame": np.full(count, result.frame.index),
        "time_s": np.full(count, float(result.frame.time)),
        "id": tracks.ids,
        **dict(zip(("x1", "y1", "x2", "y2"), tracks.boxes.T, strict=True)),
        "score": tracks.scores,
        "class_id": tracks.class_ids,
        "class_name": np.array(names, object)[tracks.class_ids],
        "predicted": tracks.detection_index < 0,
        **added_columns(tracks.keypoints, tracks.rotated),
    }


class _Buffer(io.RawIOBase):
    """What pyarrow has written and `take` has not returned yet; positions count from the beginning of the file."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Keep `data`."""
        self._pieces.append(bytes(data))
        self._position += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        """Return the number of bytes written so far."""
        return self._position

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken
