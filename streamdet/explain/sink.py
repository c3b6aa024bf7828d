"""Writes the reasons behind tracks to a file while they come."""

from __future__ import annotations

from pathlib import Path

from streamdet.errors import InputError
from streamdet.explain.record import Header, record_of, to_line
from streamdet.result import Result
from streamdet.sinks import TrackSink


class ExplainSink(TrackSink):
    """JSON lines for ``streamdet explain``, see `streamdet.explain.record`; the results must carry decisions.

    Raises InputError unless `path` ends in .jsonl and can be written.
    """

    content = "the explanation"

    def __init__(self, path: Path, header: Header) -> None:
        if path.suffix.lower() != ".jsonl":
            raise InputError(f"{self.content} is written as .jsonl, not {path.suffix or 'without an ending'}: {path}")
        super().__init__(path)
        self._rate_hz = header.rate_hz
        self._file.write(to_line(header))

    def _write(self, result: Result) -> None:
        self._file.write(to_line(record_of(result, self._rate_hz)))
