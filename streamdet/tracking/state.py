"""The state of a run: its clock, the whole state as one value, and the file that holds it.

A file is a NumPy archive of named arrays: a JSON header and the arrays of the sections of `RunState`. With it, a later
run continues with the same ids.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from streamdet.errors import InputError, OutputError, shown
from streamdet.files import replacing
from streamdet.output_file import FileClaim
from streamdet.types import Arrays, Frame, Int64Array

VERSION = 2  # files of version 1 have no header and the arrays of the tracker only, by their own names
SAVE_EVERY_S = 1.0
MAX_BYTES = 64 * 2**20  # of a file, uncompressed
LATEST = 2**100  # of times in s and of indices, beyond those of any source
_HEADER = "header"
_KIND, _SAVED_AT = "tracker", "saved_at_unix_s"  # the kind of tracker and the time in version 1
_STAGES = "stages/"
_SECTIONS = ("tracker", "camera_motion", "trails")


@dataclass(frozen=True, slots=True)
class Instant:
    """The position of a frame in its source: its exact `time` in s, and its `index`."""

    time: Fraction
    index: int

    @classmethod
    def from_frame(cls, frame: Frame) -> Self:
        """Return the instant of `frame`."""
        return cls(frame.time, frame.index)


@dataclass(frozen=True, slots=True)
class MediaClock:
    """The instants of the last frame with detection, `updated`, and of the last frame, `shown`, of a source.

    `source_id` is that of its frames; with None, the next frame counts as one of another source.
    """

    source_id: str | None
    updated: Instant
    shown: Instant

    def is_followed_by(self, frame: Frame) -> bool:
        """Return whether `frame` is a later one of the same source, that is, the source did not start over."""
        return self.source_id == frame.source_id and (frame.time > self.shown.time or frame.index > self.shown.index)

    def shifted_before(self, frame: Frame, period_s: Fraction) -> Self:
        """Return this clock shifted so that `frame` follows the frame shown last after one period of `period_s`."""
        by_s, by_index = frame.time - period_s - self.shown.time, frame.index - 1 - self.shown.index
        updated, shown = (Instant(past.time + by_s, past.index + by_index) for past in (self.updated, self.shown))
        return replace(self, source_id=frame.source_id, updated=updated, shown=shown)

    def elapsed(self, frame: Frame, rate_hz: Fraction) -> float:
        """Return the time from the last update to `frame` in periods of the nominal `rate_hz`.

        When the time did not increase, frames are counted instead.
        """
        periods = (frame.time - self.updated.time) * rate_hz
        return float(periods) if periods > 0 else float(max(frame.index - self.updated.index, 1))


@dataclass(frozen=True, kw_only=True, eq=False)
class RunState:
    """The state of a run between two frames, from which another run can continue.

    - `kind`: the name of the tracker.
    - `class_names`: the classes of the model, empty if unknown.
    - `saved_at_unix_s`: when the state was taken, in s since 1970.
    - `clock`: None before the first update.
    - `tracker`, `camera_motion`, `trails`: the arrays of each section by name, none if there is nothing to keep.
    - `stages`: the arrays of each result stage by name.
    """

    kind: str
    class_names: tuple[str, ...] = ()
    saved_at_unix_s: float
    clock: MediaClock | None = None
    tracker: Arrays
    camera_motion: Arrays = field(default_factory=dict)
    trails: Arrays = field(default_factory=dict)
    stages: Mapping[str, Arrays] = field(default_factory=dict)

    def __post_init__(self) -> None:
        instants = [self.clock.updated, self.clock.shown] if self.clock else []
        numbers = [self.saved_at_unix_s, *(number for each in instants for number in (each.time, each.index))]
        if not all(-LATEST < number < LATEST for number in numbers):  # False for NaN
            raise InputError("expected the state of a run, found a time that is none")

    def check(self, kind: str, class_names: Sequence[str], place: str = "") -> None:
        """Raise InputError unless a tracker of this `kind` over a model with `class_names` can continue from the state.

        Class names are compared if both are known. `place` is added to the message: " in FILE".
        """
        if self.kind != kind:
            raise InputError(f"expected the state of {kind}{place}, found that of {ascii(self.kind)[1:-1]:.80}")
        if not self.class_names or not class_names:
            return
        if len(self.class_names) != len(class_names):
            expected = f"the state of a model with as many classes as this one ({len(class_names)}){place}"
            raise InputError(f"expected {expected}, found {len(self.class_names)}")
        for number, (name, found) in enumerate(zip(class_names, self.class_names, strict=True)):
            if name != found:
                expected = f"the state of a model whose class {number} is {shown(name)}{place}"
                raise InputError(f"expected {expected}, found {shown(found)}")


def to_arrays(state: RunState) -> dict[str, Any]:
    """Return `state` as named arrays: a header, JSON as uint8, and the arrays of the sections as SECTION/NAME."""
    sections = {name: getattr(state, name) for name in _SECTIONS}
    sections |= {_STAGES + name: arrays for name, arrays in state.stages.items()}
    header = {
        "version": VERSION,
        "kind": state.kind,
        "class_names": state.class_names,
        "saved_at_unix_s": state.saved_at_unix_s,
        "clock": state.clock and _clock_to_json(state.clock),
    }
    arrays = {f"{section}/{name}": array for section, named in sections.items() for name, array in named.items()}
    return {_HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays}


def from_arrays(arrays: Arrays) -> RunState:
    """Return the state in `arrays`, those of `to_arrays` or of a file of version 1, whose other sections are empty.

    Raises InputError for a later version, and any other error for `arrays` of another origin.
    """
    if _HEADER not in arrays:
        tracker = {name: array for name, array in arrays.items() if name not in (_KIND, _SAVED_AT)}
        return RunState(kind=str(arrays[_KIND]), saved_at_unix_s=float(arrays[_SAVED_AT]), tracker=tracker)
    header = json.loads(arrays[_HEADER].tobytes())
    if header["version"] != VERSION:
        raise InputError(f"expected a state of version {VERSION} or before, found version {header['version']!r:.80}")
    named: dict[str, dict[str, Any]] = {}
    for key, array in arrays.items():
        section, _, name = key.rpartition("/")
        named.setdefault(section, {})[name] = array
    return RunState(
        kind=str(header["kind"]),
        class_names=tuple(map(str, header["class_names"])),
        saved_at_unix_s=float(header["saved_at_unix_s"]),
        clock=_clock_from_json(**header["clock"]) if header["clock"] else None,
        stages={name[len(_STAGES) :]: named[name] for name in named if name.startswith(_STAGES)},
        **{name: named.get(name, {}) for name in _SECTIONS},
    )


def _clock_to_json(clock: MediaClock) -> dict[str, Any]:
    """Return the clock with each instant as numerator and denominator of the time, and index."""
    instants = {"updated": clock.updated, "shown": clock.shown}
    ints = {name: [*instant.time.as_integer_ratio(), instant.index] for name, instant in instants.items()}
    return {"source_id": clock.source_id, **ints}


def _clock_from_json(source_id: str | None, updated: list[int], shown: list[int]) -> MediaClock:
    instants = (Instant(Fraction(numerator, denominator), index) for numerator, denominator, index in (updated, shown))
    return MediaClock(source_id, *instants)


class StateFile:
    """A file at `path` that is kept up to date with the state that the function `state` returns.

    It is written at once, and by no other process until this object is gone. Raises InputError when it cannot be
    written, or another process keeps its state there.
    """

    def __init__(self, path: Path, state: Callable[[], RunState]) -> None:
        self._path, self._state = path, state
        self._saved_at_s = -np.inf
        self._newest_id = 0
        self._claim: FileClaim | None = None
        try:
            if path.exists():
                self._claim = FileClaim(path)
            self._save()
        except OSError as error:
            raise InputError(f"cannot write the tracker's state to {path}: {error.strerror}") from error

    def keep(self, ids: Int64Array) -> None:
        """Save if a second has passed, or if one of the `ids` (M,) of a frame is new, lest it be issued twice.

        Raises OutputError when the file cannot be written.
        """
        newest_id = int(ids.max(initial=0))
        if newest_id > self._newest_id or time.monotonic() - self._saved_at_s >= SAVE_EVERY_S:
            self._newest_id = max(newest_id, self._newest_id)
            self.save()

    def save(self) -> None:
        """Replace the file by the present state; raises OutputError when it cannot be written."""
        try:
            self._save()
        except OSError as error:
            raise OutputError(f"writing the tracker's state to {self._path} failed: {error.strerror}") from error

    def _save(self) -> None:
        self._saved_at_s = time.monotonic()
        with replacing(self._path) as partial:
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **to_arrays(self._state()))
            claim = FileClaim(partial)  # before it is the file that others see
        self._claim = claim


def read_state(path: Path) -> RunState | None:
    """Return the state in the file at `path`, None if there is no file; raises InputError if it holds no state."""
    if not path.exists():
        return None
    if not path.is_file():
        raise InputError(
            f"expected the state of a tracker in {path}, found a {'folder' if path.is_dir() else 'device'}"
        )
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except OSError as error:
        raise InputError(f"expected the state of a tracker in {path}, found {error.strerror}") from None
    if content is None:
        raise InputError(f"{path}: expected a state of {MAX_BYTES // 2**20} MiB at most, found a larger file")
    try:
        return from_arrays(_read_archive(io.BytesIO(content)))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception:  # any error of NumPy, zipfile or JSON about a file of another kind
        raise InputError(f"expected the state of a tracker in {path}, found another file") from None


def _read_archive(file: IO[bytes]) -> Arrays:
    """Return the arrays of a NumPy archive; raises InputError, before any of them is read, if they are too large."""
    with zipfile.ZipFile(file) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_BYTES:
        raise InputError(f"expected a state of {MAX_BYTES // 2**20} MiB at most, found {size // 2**20} MiB")
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)
