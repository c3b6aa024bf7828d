"""What all track files share: when the disk is touched, what a failure leaves, and the values of a track."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from streamdet.errors import OutputError
from streamdet.inference.session import TaskName
from streamdet.output_file import OutputFile
from streamdet.result import Result
from streamdet.sinks.header import TracksHeader

# The values of a track, see `rows`.
COLUMNS = ("id", "box", "score", "class_id", "class_name", "predicted")


class TrackSink(ABC):
    """A track file that is whole after every `write`, and closed at the end of its `with` block.

    A format returns the text of a result, which goes to the file on the disk at once, or, when the disk is full, not at
    all. `end` closes the file after each of them, and is replaced by the next. The path ``-`` is the standard output of
    the process. An existing file is replaced by the first result, or at the end if there is none. `header` is what is
    known of the run. `content` names what is written in error messages, `task` is that of the models whose results are
    taken, None for all. Raises InputError when `path` cannot be written.
    """

    content = "tracks"
    task: ClassVar[TaskName | None] = None
    end: ClassVar[str] = ""

    def __init__(self, path: Path, header: TracksHeader | None = None) -> None:
        self._header = header or TracksHeader()
        self._path, self._disk = path, OutputFile(path, self.content)
        self._started = self._failed = False

    def write(self, result: Result) -> None:
        """Append the tracks of one frame; raises OutputError when they cannot be written, as on a full disk."""
        if not self._started:
            self._header = self._header.completed(result)
        self._save(self._rows(result))

    def _head(self) -> str:
        """Return what comes before the first result."""
        return ""

    @abstractmethod
    def _rows(self, result: Result) -> str | bytes:
        """Return what the file says of one result."""

    def _finish(self) -> str | bytes:
        """Return what follows the last result; called before the file is closed, unless a write failed."""
        return ""

    def __enter__(self) -> TrackSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if not self._failed and (self._started or kind is None):
                self._save(self._finish(), is_last=True)
        finally:
            self._disk.close()

    def _save(self, text: str | bytes, *, is_last: bool = False) -> None:
        """Write `text` to the disk, after the head if it is the first, and before the end."""
        record, over = _encoded(text), self.end if self._started else ""
        # What is written to a pipe stays: there the end comes once.
        end = self.end if self._disk.is_regular or is_last else ""
        try:
            if not self._started:
                self._started = True
                self._disk.start()
                record = _encoded(self._head()) + record
            self._disk.append(record + _encoded(end), over=_encoded(over))
            self._disk.check()
        except OSError as error:
            self._failed = True
            raise OutputError(f"writing {self.content} to {self._path} failed: {error.strerror}") from error


def rows(result: Result) -> list[tuple[int, list[float], float, int, str, bool]]:
    """Return the values of `COLUMNS` for each track; a track without a detection in this frame is predicted."""
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


def _encoded(text: str | bytes) -> bytes:
    return text.encode("utf-8", "replace") if isinstance(text, str) else text
