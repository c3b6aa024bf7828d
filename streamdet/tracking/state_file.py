"""What a tracker remembers, in a file, so that a restart keeps ids."""

from __future__ import annotations

import os
import time
import zipfile
from pathlib import Path

import numpy as np

from streamdet.errors import InputError, StreamdetError
from streamdet.types import Int64Array
from trackers.tracker import Tracker

SAVE_EVERY_S = 1.0
_KIND, _SAVED_AT = "tracker", "saved_at_unix_s"


class StateFile:
    """The memory of one `tracker` of the given `kind` at `path`, a NumPy archive; taken over now if it is there.

    `age_s` is how long ago it was saved, None when there was none. Raises InputError when the file is none of this kind
    or cannot be written.
    """

    def __init__(self, path: Path, tracker: Tracker, kind: str) -> None:
        self._path, self._tracker, self._kind = path, tracker, kind
        self.age_s = self._restore()
        self._saved_at_s = -np.inf
        self._newest_id = 0
        try:
            self._save()
        except OSError as error:
            raise InputError(f"cannot write the tracker's state to {path}: {error.strerror}") from error

    def keep(self, ids: Int64Array) -> None:
        """Save if a second has passed, or one of the `ids` (M,) of a frame is new: no id may be issued twice.

        Raises StreamdetError when the disk does not take it.
        """
        newest_id = int(ids.max(initial=0))
        if newest_id > self._newest_id or time.monotonic() - self._saved_at_s >= SAVE_EVERY_S:
            self._newest_id = max(newest_id, self._newest_id)
            self.save()

    def save(self) -> None:
        """Replace the file; raises StreamdetError when the disk does not take it."""
        try:
            self._save()
        except OSError as error:
            raise StreamdetError(f"writing the tracker's state to {self._path} failed: {error.strerror}") from error

    def _save(self) -> None:
        self._saved_at_s = time.monotonic()
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        state = self._tracker.state() | {_KIND: np.array(self._kind), _SAVED_AT: np.array(time.time())}
        try:
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **state)
            partial.replace(self._path)
        finally:
            partial.unlink(missing_ok=True)

    def _restore(self) -> float | None:
        """Give the tracker what the file holds, if there is one; return how old it is in s."""
        if not self._path.exists():
            return None
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                state = dict(archive)
            kind, saved_at = str(state[_KIND]), float(state[_SAVED_AT])
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            found = getattr(error, "strerror", None) or "another file"
            raise InputError(f"expected the state of a tracker in {self._path}, found {found}") from None
        if kind != self._kind:
            raise InputError(f"expected the state of {self._kind} in {self._path}, found that of {kind}")
        try:
            self._tracker.restore(state)
        except ValueError as error:
            raise InputError(f"{self._path}: {error}") from None
        return max(time.time() - saved_at, 0.0)
