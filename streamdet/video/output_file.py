"""The file a video is written to: after its first failure nothing is written any more."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from streamdet.errors import InputError


class OutputFile:
    """A seekable file for the muxer.

    A muxer that cannot write goes on to its trailer, which rewrites the header; on a full disk that would make what is
    already there unreadable. So the first OSError is raised again by all later writes, and kept in `failure`.

    Opening changes nothing of an existing file, `start` empties it; a file that never started is removed again. Raises
    InputError when `path` cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.failure: OSError | None = None
        self._path, self._started = path, False
        self._created = not path.exists()
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise InputError(
                f"expected a place to write a video, but {path} is none: {_reason(error, path)}"
            ) from error

    def start(self) -> None:
        """Empty the file."""
        self._started = True
        if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.truncate(self._descriptor, 0)

    def write(self, data: bytes) -> int:
        """Write all of `data`; raises OSError."""
        if self.failure is not None:
            raise self.failure
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.failure = error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset`, as in ``io.IOBase``."""
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        """Return the current position in bytes."""
        return self.seek(0, os.SEEK_CUR)

    def close(self) -> None:
        """Close the file; may be called again."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1
        if self._created and not self._started:
            self._path.unlink(missing_ok=True)


def _reason(error: OSError, path: Path) -> str:
    if path.is_dir():
        return "it is a folder"
    if isinstance(error, FileNotFoundError):
        return f"the folder {path.parent} does not exist"
    return (error.strerror or str(error)).lower()
