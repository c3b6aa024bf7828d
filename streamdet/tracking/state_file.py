"""The state of a run in a file, so that a restart keeps ids."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from streamdet.errors import InputError, OutputError
from streamdet.tracking.run_state import RunState, from_arrays, to_arrays
from streamdet.types import Arrays, Int64Array

SAVE_EVERY_S = 1.0
MAX_BYTES = 64 * 2**20


class StateFile:
    """A NumPy archive at `path` that is kept up to date with what `state` returns; written now, for the first time.

    Raises InputError when it cannot be written.
    """

    def __init__(self, path: Path, state: Callable[[], RunState]) -> None:
        self._path, self._state = path, state
        self._saved_at_s = -np.inf
        self._newest_id = 0
        try:
            self._save()
        except OSError as error:
            raise InputError(f"cannot write the tracker's state to {path}: {error.strerror}") from error

    def keep(self, ids: Int64Array) -> None:
        """Save if a second has passed, or one of the `ids` (M,) of a frame is new: no id may be issued twice.

        Raises OutputError when the disk does not take it.
        """
        newest_id = int(ids.max(initial=0))
        if newest_id > self._newest_id or time.monotonic() - self._saved_at_s >= SAVE_EVERY_S:
            self._newest_id = max(newest_id, self._newest_id)
            self.save()

    def save(self) -> None:
        """Replace the file; raises OutputError when the disk does not take it."""
        try:
            self._save()
        except OSError as error:
            raise OutputError(f"writing the tracker's state to {self._path} failed: {error.strerror}") from error

    def _save(self) -> None:
        self._saved_at_s = time.monotonic()
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        try:
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **to_arrays(self._state()))
            partial.replace(self._path)
        finally:
            partial.unlink(missing_ok=True)


def read_state(path: Path) -> RunState | None:
    """Return the state in the file at `path`, None if there is no file; raises InputError for one that holds none."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as file:
            return from_arrays(_arrays(file))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # whatever NumPy, zipfile and JSON say to bytes of another origin
        found = getattr(error, "strerror", None) or "another file"
        raise InputError(f"expected the state of a tracker in {path}, found {found}") from None


def _arrays(file: IO[bytes]) -> Arrays:
    """Return the arrays of an archive; raises InputError, before any of them is read, if they are too large."""
    with zipfile.ZipFile(file) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_BYTES:
        raise InputError(f"expected a state of {MAX_BYTES // 2**20} MiB at most, found {size // 2**20} MiB")
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)
