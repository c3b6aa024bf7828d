"""The demo's temporary files: a folder for each server, what is old in it, and what a killed server has left."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX, _LOCK = "streamdet-demo-", "lock"
_KEPT_S = 3600.0


@contextmanager
def own_folder() -> Iterator[Path]:
    """Yield a new temporary folder, which is removed at the end; first remove those of servers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        _remove_abandoned(folder)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with FileLock(folder / _LOCK):
            files = folder / "files"
            files.mkdir()
            yield files


def _remove_abandoned(folder: Path) -> None:
    """Remove `folder` if its server has ended, which no longer holds the lock then."""
    if not (folder / _LOCK).is_file() or folder.is_symlink():
        return
    with suppress(Timeout, OSError), FileLock(folder / _LOCK, timeout=0):
        shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path, max_bytes: int) -> None:
    """Remove the files below `folder` that are older than an hour, and the oldest ones beyond `max_bytes` in all."""
    now_s, total = time.time(), 0
    for path, found in sorted(_files(folder), key=lambda each: -each[1].st_mtime):
        total += found.st_size
        if total > max_bytes or found.st_mtime < now_s - _KEPT_S:
            with suppress(OSError):
                path.unlink()
    for path in folder.iterdir():
        if path.is_dir() and path.stat().st_mtime < now_s - _KEPT_S:
            with suppress(OSError):  # not empty
                path.rmdir()


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # moved meanwhile
            found = path.lstat()
            if not path.is_dir():
                yield path, found
