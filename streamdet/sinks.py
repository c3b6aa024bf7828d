"""Writes tracks to a file frame by frame, as MOT text, JSON lines or CSV by the ending of its name."""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from pathlib import Path

from streamdet.errors import InputError, OutputError
from streamdet.output_file import STANDARD_OUTPUT, OutputFile
from streamdet.result import Result

# The values of a track in JSON lines and CSV, see `_rows`.
_COLUMNS = ("id", "box", "score", "class_id", "class_name", "predicted")


class TrackSink(ABC):
    """A track file that is whole after every `write`, and closed at the end of its `with` block.

    Formats write the text of a result to `_file`; it goes to the file on the disk at once, or, when the disk is full,
    not at all. The path ``-`` is the standard output of the process. An existing file is replaced by the first result,
    or at the end if there is none. `content` names what is written in error messages. Raises InputError when `path`
    cannot be written.
    """

    content = "tracks"

    def __init__(self, path: Path) -> None:
        self._file = io.StringIO(newline="")
        self._path, self._disk = path, OutputFile(path, self.content)
        self._started = self._failed = False

    def write(self, result: Result) -> None:
        """Append the tracks of one frame; raises OutputError when they cannot be written, as on a full disk."""
        self._write(result)
        self._save()

    @abstractmethod
    def _write(self, result: Result) -> None: ...

    def _finish(self) -> None:  # noqa: B027  # most formats have no end
        """Append the end of a format that has one; called before the file is closed, unless a write failed."""

    def __enter__(self) -> TrackSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if not self._failed and (self._started or kind is None):
                self._finish()
                self._save()
        finally:
            self._disk.close()

    def _save(self) -> None:
        """Move what was written to `_file` to the disk."""
        text = self._file.getvalue()
        self._file.seek(0)
        self._file.truncate()
        try:
            if not self._started:
                self._started = True
                self._disk.start()
            self._disk.append(text.encode("utf-8", "replace"))
            self._disk.check()
        except OSError as error:
            self._failed = True
            raise OutputError(f"writing {self.content} to {self._path} failed: {error.strerror}") from error


class MotSink(TrackSink):
    """MOTChallenge rows: frame (from 1), id, left, top, width, height in px, score, -1, -1, -1."""

    def _write(self, result: Result) -> None:
        tracks, number = result.tracks, result.frame.index + 1
        for track_id, (x1, y1, x2, y2), score in zip(
            tracks.ids.tolist(), tracks.boxes.tolist(), tracks.scores.tolist(), strict=True
        ):
            self._file.write(
                f"{number},{track_id},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{score:.4f},-1,-1,-1\n"
            )


class JsonlSink(TrackSink):
    """One JSON object per frame: its index (from 0), time in s, and tracks with boxes as x1, y1, x2, y2 in px."""

    def _write(self, result: Result) -> None:
        tracks = [dict(zip(_COLUMNS, row, strict=True)) for row in _rows(result)]
        line = {"frame": result.frame.index, "time_s": float(result.frame.time), "tracks": tracks}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


class CsvSink(TrackSink):
    """A header, and one row per track and frame: frame (from 0), time in s, then the values of a track."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._csv = csv.writer(self._file)
        self._csv.writerow(["frame", "time_s", "id", "x1", "y1", "x2", "y2", *_COLUMNS[2:]])

    def _write(self, result: Result) -> None:
        for track_id, box, *rest in _rows(result):
            self._csv.writerow([result.frame.index, round(float(result.frame.time), 6), track_id, *box, *rest])


# Ending of the file -> the class that writes it.
TRACK_SINKS: dict[str, type[TrackSink]] = {".txt": MotSink, ".jsonl": JsonlSink, ".csv": CsvSink}


def open_track_sink(path: Path) -> TrackSink:
    """Open the sink for the ending of `path`, MOT text for ``-``.

    Raises InputError if the ending is unknown, or `path` cannot be written.
    """
    sink = MotSink if path == STANDARD_OUTPUT else TRACK_SINKS.get(path.suffix.lower())
    if sink is None:
        raise InputError(
            f"tracks are written as {', '.join(TRACK_SINKS)}, not {path.suffix or 'without an ending'}: {path}"
        )
    return sink(path)


def _rows(result: Result) -> list[tuple[int, list[float], float, int, str, bool]]:
    """Return the values of `_COLUMNS` for each track; a track without a detection in this frame is predicted."""
    tracks = result.tracks
    return [
        (track_id, [round(value, 2) for value in box], round(score, 4), class_id, result.class_names[class_id], hidden)
        for track_id, box, score, class_id, hidden in zip(
            tracks.ids.tolist(),
            tracks.boxes.tolist(),
            tracks.scores.tolist(),
            tracks.class_ids.tolist(),
            (tracks.detection_index < 0).tolist(),
            strict=True,
        )
    ]
