"""All that a run remembers, as one value, and as arrays by name for a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from streamdet.errors import InputError
from streamdet.tracking.clock import Clock, Moment
from streamdet.types import Arrays

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
    clock: Clock | None = None
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


def _clock_to_json(clock: Clock) -> dict[str, Any]:
    """Return the clock with moments as numerator and denominator of the time, and index."""
    moments = {"updated": clock.updated, "shown": clock.shown}
    ints = {name: [*moment.time.as_integer_ratio(), moment.index] for name, moment in moments.items()}
    return {"source_id": clock.source_id, **ints}


def _clock_from_json(source_id: str | None, updated: list[int], shown: list[int]) -> Clock:
    moments = (Moment(Fraction(numerator, denominator), index) for numerator, denominator, index in (updated, shown))
    return Clock(source_id, *moments)
