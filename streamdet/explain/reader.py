"""Reads what ``streamdet track --explain`` wrote, also when the run was cut off in the middle of a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from streamdet.errors import InputError
from streamdet.explain.record import FrameRecord, Header

_HEADER, _FRAME = TypeAdapter(Header), TypeAdapter(FrameRecord)


class ExplainFile:
    """A file to be read as often as needed, a frame at a time; `header` is its first line.

    Raises InputError when it cannot be read or is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warning: str | None = None
        """After the frames were read: what the user should know about the end of the file."""
        try:
            with path.open("rb") as file:
                first = file.readline()
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from None
        try:
            self.header = _HEADER.validate_json(first)
        except ValidationError:
            raise InputError(
                f"expected a file that streamdet track --explain wrote, found {_shown(first)} in {path}"
            ) from None

    def frames(self) -> Iterator[FrameRecord]:
        """Yield the frames up to the first line that is broken or was not written to its end."""
        with self.path.open("rb") as file:
            file.readline()
            for number, line in enumerate(file, 2):
                record = _parsed(line)
                if record is None:
                    what = "was not written to its end" if not line.endswith(b"\n") else "is broken"
                    self.warning = f"line {number} of {self.path} {what}: told is what the lines before it hold"
                    return
                yield record


def _parsed(line: bytes) -> FrameRecord | None:
    """Return the frame in `line`, None when it holds no whole one."""
    try:
        record = _FRAME.validate_json(line)
    except ValidationError:
        return None
    return record if _consistent(record) else None


def _consistent(record: FrameRecord) -> bool:
    """Return whether all tracks and detections that are referred to are there."""
    pairs = [pair for stage in record.stages for pair in stage.pairs]
    rows = {pair.detection for pair in pairs} | {row for _, row in record.begun}
    known, begun = {track.serial for track in record.tracks}, {serial for serial, _ in record.begun}
    before = {pair.serial for pair in pairs} | set(record.ended)
    named = {serial for serial, _ in record.confirmed}
    return rows <= set(range(len(record.detections))) and before <= known and named <= known | begun


def _shown(line: bytes) -> str:
    return repr(line[:40].decode("utf-8", "replace").strip()) if line.strip() else "an empty line"
