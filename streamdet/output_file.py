"""Files that a run writes: told apart from those it reads, one writer each, whole after every record."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet, finalize

from streamdet.errors import InputError

if sys.platform != "win32":
    import fcntl

STANDARD_OUTPUT = Path("-")  # a path that stands for the standard output of the process

_Identity = tuple[int, int, str]


def require_distinct(read: Mapping[str, Iterable[Path]], written: Mapping[str, Path]) -> None:
    """Raise InputError if a file that is `written` is also `read`, or written twice, under whatever name.

    The keys are what the user knows the files by, such as ``--out``; a folder that is read stands for all files
    directly in it. Raises OSError for a path that no file can have.
    """
    found: dict[_Identity, tuple[str, Path]] = {}
    for name, path in written.items():
        identity = _identity(path)
        if identity is None:
            continue
        if identity in found:
            raise InputError(f"expected a file each for {found[identity][0]} and {name}, found {path} for both")
        found[identity] = name, path
    for other, paths in read.items():
        for file in (each for path in paths for each in (path.iterdir() if path.is_dir() else [path])):
            identity = _identity(file) if file.exists() else None
            if identity in found:
                name, path = found[identity]
                raise InputError(f"expected a file of its own for {name}, but {path} is read as {other}: {file}")


def _identity(path: Path) -> _Identity | None:
    """Return device and inode of the file at `path`, those of its folder and its name if there is no such file.

    None for what several may write to: a pipe, a device, a folder, and a file whose folder does not exist.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        place = path.resolve()  # the end of a link that leads nowhere yet
        with suppress(OSError):
            folder = place.parent.stat()
            return folder.st_dev, folder.st_ino, place.name
        return None
    return (status.st_dev, status.st_ino, "") if stat.S_ISREG(status.st_mode) else None


class OutputFile:
    """A file that one run writes, from its beginning; the position is that of the muxer, or the end of what is written.

    Opening leaves an existing file unchanged until `start` empties it; closing removes a new file that was not started.
    Until it is closed, or the process ends, no other run can open it. After its first failure nothing more is written:
    a muxer whose write fails still writes its trailer, and rewrites the header, which on a full disk would make the
    file unreadable. So all later writes raise the first OSError again, which is kept in `failure`.

    `content` is what is written, for messages: "a video". Raises InputError when `path` cannot be written, or another
    run writes it.
    """

    def __init__(self, path: Path, content: str) -> None:
        self.name = str(path)
        self.failure: OSError | None = None
        self._path, self._started = path, False
        try:
            self._created = path != STANDARD_OUTPUT and not path.exists()
            self._descriptor = _opened(path)
        except OSError as error:
            raise InputError(
                f"expected a place to write {content}, but {path} is none: {_reason(error, path)}"
            ) from error
        self.is_regular = path != STANDARD_OUTPUT and stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        if self.is_regular and not lock(self._descriptor):
            os.close(self._descriptor)
            raise InputError(f"expected a place to write {content}, but another run is writing to {path}")

    def start(self) -> None:
        """Empty the file."""
        self._started = True
        self.cut(0)

    def append(self, record: bytes, *, over: bytes = b"") -> None:
        """Write `record` at the end, all of it or, in a regular file, nothing; raises OSError.

        In a regular file it replaces `over`, the bytes that the file ends in.
        """
        end = self.tell() if self.is_regular else 0
        try:
            if self.is_regular:
                self.seek(end - len(over))
            self.write(record)
        except OSError:
            if self.is_regular:
                # Before the cut: these bytes lie in blocks that the file still has, also on a full disk.
                self.seek(end - len(over))
                os.write(self._descriptor, over)
            self.cut(end)
            raise

    def write(self, data: bytes) -> int:
        """Write all of `data`; raises OSError."""
        if self.failure is not None:
            raise self.failure
        rest = memoryview(data)
        try:
            self.check()
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.failure = error
            raise
        return len(data)

    def check(self) -> None:
        """Raise OSError if the file was deleted, perhaps with its folder: what is written would be lost."""
        # Some network shares count no links at all.
        if self.is_regular and not os.fstat(self._descriptor).st_nlink and not self._path.exists():
            raise OSError(errno.ENOENT, "it was deleted while it was written", self.name)

    def cut(self, length: int) -> None:
        """Remove what follows the first `length` bytes, and go on there, if it is a regular file."""
        if self.is_regular:
            os.ftruncate(self._descriptor, length)
            self.seek(length)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` and return the new position, as in ``io.IOBase``."""
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        """Return the current position in bytes."""
        return self.seek(0, os.SEEK_CUR)

    def close(self) -> None:
        """Close the file; may be called again."""
        if self._descriptor < 0:
            return
        if self._created and not self._started:
            self._path.resolve().unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1


def lock(descriptor: int) -> bool:
    """Claim an open file until it is closed or the process ends; return False if it has been claimed elsewhere.

    Where the file system knows no locks, as on some network shares, and on Windows, every claim succeeds.
    """
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


class FileClaim:
    """The claim of this process to the file at `path`, as by `lock`, until the object is gone.

    Several objects of one process may claim a file. Raises InputError when another process has claimed it.
    """

    _own: ClassVar[WeakSet[FileClaim]] = WeakSet()

    def __init__(self, path: Path) -> None:
        file = path.open("rb")
        finalize(self, file.close)
        self._status = os.fstat(file.fileno())
        is_own = any(os.path.samestat(self._status, claim._status) for claim in self._own)
        # The other process may just have replaced the file that was opened here.
        if not (is_own or (lock(file.fileno()) and os.path.samestat(self._status, path.stat()))):
            raise InputError(f"expected a file that no other run writes, but another one is writing to {path}")
        self._own.add(self)
        if sys.platform == "win32":
            file.close()  # there an open file cannot be replaced


def _opened(path: Path) -> int:
    if path == STANDARD_OUTPUT:
        return os.dup(1)
    return os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)


def _reason(error: OSError, path: Path) -> str:
    """Return why `path` cannot be opened, as the end of a sentence."""
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, FileNotFoundError):
        return f"the folder {path.parent} does not exist"
    return (error.strerror or str(error)).lower()
