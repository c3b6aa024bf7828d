"""The tuning of a tracker on footage without labels.

Limits are loosened one after the other. The trackers with the limit as it was and with the looser one are both scored
online on footage that was made harder (`streamdet.tune.harder`), against the labels that the tracker makes of all
frames and detections offline. On the footage as it is, the labels favour the value that they were made with; from less
the tracker finds the same tracks again the more easily, the better its settings suit the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np

from streamdet.errors import InputError
from streamdet.tune.footage import Footage
from streamdet.tune.harder import with_dropped_frames, with_lost_detections
from streamdet.tune.search import Scorer
from streamdet.tune.sequences import LabelledSequence
from trackers.config import TrackerConfig
from trackers.types import FloatArray

BIRTHS = "births"
# What is loosened, one after the other: the settings and their looser values, given all of them. Detectors and scenes
# differ in whether a detection that is good enough to be matched first is good enough to begin a track, and in how
# little overlap, at which score, is enough to be matched first.
LOOSER: dict[str, dict[str, Callable[[Any], float]]] = {
    BIRTHS: {"new_track_thresh": lambda settings: min(settings.new_track_thresh, settings.track_high_thresh)},
    "matches": {
        # An overlap of 0.10 suffices instead of 0.23.
        "match_thresh": lambda settings: round(1 - 0.43 * (1 - settings.match_thresh), 3),
        "track_high_thresh": lambda settings: round(0.67 * settings.track_high_thresh, 3),
    },
}
HARDER: dict[str, Callable[[Sequence[LabelledSequence]], list[list[LabelledSequence]]]] = {
    "dropped frames": with_dropped_frames,
    "lost detections": with_lost_detections,
}
MIN_GAIN = 1.0  # HOTA against the tracker's own labels: less may be a loss
MIN_CERTAINTY = 2.0  # standard errors that the mean gain of all versions of the footage must be above 0
LEAST_S = 25.0  # of footage
FEWEST_TRACKS = 10  # that are consistent


@dataclass(frozen=True, slots=True)
class Comparison:
    """A tracker with looser settings, beside the one before, on harder footage.

    - `loosened`: what of `LOOSER`.
    - `changes`: the old and the new value of each setting.
    - `gains`: HOTA, in percent, on each version of the footage (K,), by `HARDER`; without a way that has no version.
    """

    loosened: str
    changes: Mapping[str, tuple[float, float]]
    gains: Mapping[str, FloatArray]

    @property
    def adopted(self) -> bool:
        """Whether the looser settings are better beyond doubt, and better whatever makes the footage harder."""
        every = np.concatenate([*self.gains.values()])
        error = every.std(ddof=1) / np.sqrt(len(every))
        everywhere = all(gains.mean() > 0 for gains in self.gains.values())
        return everywhere and bool(every.mean() >= max(MIN_GAIN, MIN_CERTAINTY * error))


@dataclass(frozen=True, slots=True)
class Adaptation:
    """The result: the tracker `config`, and what was compared, in order."""

    config: TrackerConfig
    comparisons: tuple[Comparison, ...]


def adapt(config: TrackerConfig, footage: Sequence[Footage], *, jobs: int = 1) -> Adaptation:
    """Return the tracker of `config` with the settings loosened that the `footage` shows to be too strict.

    `jobs` is the number of processes that share the work; it does not change the result. Raises InputError for footage
    that is too short or shows too few objects, and MissingExtraError without TrackEval.
    """
    _require_enough(footage)
    compared: list[Comparison] = []
    with Scorer(jobs) as scorer:
        # What begins too late for a strict tracker is not in its labels.
        labelled = scorer.map(Footage.labelled, footage, repeat(_loosened(config, BIRTHS)[0]))
        _require_tracks(labelled)
        before = _hota(config, labelled, scorer)
        for name in LOOSER:
            looser, changes = _loosened(config, name)
            if not changes:
                continue
            after = _hota(looser, labelled, scorer)
            compared.append(Comparison(name, changes, {way: after[way] - hota for way, hota in before.items()}))
            if compared[-1].adopted:
                config, before = looser, after
    return Adaptation(config, tuple(compared))


def _loosened(config: TrackerConfig, name: str) -> tuple[TrackerConfig, dict[str, tuple[float, float]]]:
    """Return `config` with the looser settings `name`, and their old and new values.

    A setting stays if the tracker has none of that name, if it is as loose already, or if others forbid the new value.
    """
    changes = {}
    for setting, loosen in LOOSER[name].items():
        if (old := getattr(config.settings, setting, None)) is None or (new := loosen(config.settings)) == old:
            continue
        with suppress(ValueError):
            config = replace(config, settings=replace(config.settings, **{setting: new}))
            changes[setting] = old, new
    return config, changes


def _hota(config: TrackerConfig, labelled: Sequence[LabelledSequence], scorer: Scorer) -> dict[str, FloatArray]:
    """Return the HOTA, in percent, of the tracker of `config` on each version of the footage (K,), by `HARDER`."""
    versions = {way: harder(labelled) for way, harder in HARDER.items()}
    return {
        way: np.array([scorer.score(config, version).combined.hota for version in found])
        for way, found in versions.items()
        if found
    }


def _require_enough(footage: Sequence[Footage]) -> None:
    names = ", ".join(each.name for each in footage)
    if (found_s := sum(each.duration_s for each in footage)) < LEAST_S:
        raise InputError(f"expected at least {LEAST_S:g} s of video to tune on, found {found_s:.1f} s in {names}")
    if not any(len(each.detections.frames) for each in footage):
        raise InputError(f"expected objects in {names}, found none")


def _require_tracks(labelled: Sequence[LabelledSequence]) -> None:
    boxes = [sequence.truth.boxes for sequence in labelled]
    found = sum(len(np.unique(table.ids[table.extra[:, 0] > 0])) for table in boxes)
    if found < FEWEST_TRACKS:
        raise InputError(
            f"expected at least {FEWEST_TRACKS} objects that are tracked alike forwards and backwards, found {found}: "
            "more footage is needed"
        )
