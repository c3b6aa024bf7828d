"""All that a run remembers: its clock, its state as one value, and that state in a file."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from streamdet.errors import InputError, OutputError
from streamdet.files import replacing
from streamdet.types import Arrays, Frame, Int64Array


@dataclass(frozen=True, slots=True)
class Instant:
    """When a frame is shown: its exact `time` in s, and its `index`."""

    time: Fraction
    index: int

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """Return the moment of `frame`."""
        return cls(frame.time, frame.index)


@dataclass(frozen=True, slots=True)
class MediaClock:
    """The frame that was detected in last, `updated`, and the last one of all, `shown`, of the source `source_id`.

    The id is None where whatever comes next is another source.
    """

    source_id: str | None
    updated: Instant
    shown: Instant

    def goes_on(self, frame: Frame) -> bool:
        """Whether `frame` is a later one of the same source, which does not start over with it."""
        return self.source_id == frame.source_id and (frame.time > self.shown.time or frame.index > self.shown.index)

    def before(self, frame: Frame, period_s: Fraction) -> Self:
        """Return this clock set so that `frame` is shown one period after what was shown last."""
        by_s, by_index = frame.time - period_s - self.shown.time, frame.index - 1 - self.shown.index
        updated, shown = (Instant(past.time + by_s, past.index + by_index) for past in (self.updated, self.shown))
        return replace(self, source_id=frame.source_id, updated=updated, shown=shown)

    def elapsed(self, frame: Frame, rate_hz: Fraction | None) -> float:
        """Return the time from the last update to `frame` in periods of the nominal `rate_hz`.

        Without a rate, or where the time stood still or jumped back, frames are counted instead.
        """
        periods = (frame.time - self.updated.time) * (rate_hz or 0)
        return float(periods) if periods > 0 else float(max(frame.index - self.updated.index, 1))


VERSION = 2  # in the first one there were the tracker's arrays alone, by their own names
_HEADER = "header"
_KIND, _SAVED_AT = "tracker", "saved_at_unix_s"  # what the first version called them
_STAGES = "stages/"
_SECTIONS = ("tracker", "camera_motion", "trails")


@dataclass(frozen=True, kw_only=True, eq=False)
class RunState:
    """What a run remembers between two frames, so that another one can go on where it stood.

    `kind` names its tracker, `class_names` are the classes of its model, empty if unknown; it was taken at
    `saved_at_unix_s`. `clock` is None before the first update. Each section holds the arrays of its owner by name, none
    if there is nothing to remember: the `tracker`, the `camera_motion` with its key frame, the `trails`, and the result
    `stages` by their names.
    """

    kind: str
    class_names: tuple[str, ...] = ()
    saved_at_unix_s: float
    clock: MediaClock | None = None
    tracker: Arrays
    camera_motion: Arrays = field(default_factory=dict)
    trails: Arrays = field(default_factory=dict)
    stages: Mapping[str, Arrays] = field(default_factory=dict)

    def check(self, kind: str, class_names: Sequence[str], place: str = "") -> None:
        """Raise InputError unless a tracker of this `kind` over a model with `class_names` can go on from here.

        `place` completes the sentence: " in FILE".
        """
        if self.kind != kind:
            raise InputError(f"expected the state of {kind}{place}, found that of {self.kind}")
        if not self.class_names or not class_names:
            return
        if len(self.class_names) != len(class_names):
            expected = f"the state of a model with as many classes as this one ({len(class_names)}){place}"
            raise InputError(f"expected {expected}, found {len(self.class_names)}")
        for number, (name, found) in enumerate(zip(class_names, self.class_names, strict=True)):
            if name != found:
                expected = f"the state of a model whose class {number} is {name!r}{place}"
                raise InputError(f"expected {expected}, found {found!r}")


def to_arrays(state: RunState) -> dict[str, Any]:
    """Return `state` as arrays: its numbers and words as JSON in one, and those of the sections as SECTION/NAME."""
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
    """Return the state that gave `arrays`; sections that the first version did not have are empty.

    Raises InputError for a later version, and whatever error `arrays` of another origin lead to.
    """
    if _HEADER not in arrays:
        tracker = {name: array for name, array in arrays.items() if name not in (_KIND, _SAVED_AT)}
        return RunState(kind=str(arrays[_KIND]), saved_at_unix_s=float(arrays[_SAVED_AT]), tracker=tracker)
    header = json.loads(arrays[_HEADER].tobytes())
    if header["version"] != VERSION:
        raise InputError(f"expected a state of version {VERSION} or before, found version {header['version']}")
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
    """Return the clock with moments as numerator and denominator of the time, and index."""
    moments = {"updated": clock.updated, "shown": clock.shown}
    ints = {name: [*moment.time.as_integer_ratio(), moment.index] for name, moment in moments.items()}
    return {"source_id": clock.source_id, **ints}


def _clock_from_json(source_id: str | None, updated: list[int], shown: list[int]) -> MediaClock:
    moments = (Instant(Fraction(numerator, denominator), index) for numerator, denominator, index in (updated, shown))
    return MediaClock(source_id, *moments)


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
        with replacing(self._path) as partial, partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **to_arrays(self._state()))


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
