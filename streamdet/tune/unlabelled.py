"""The tuning of a tracker on footage without labels.

Thresholds on scores are loosened one after the other. The trackers with the threshold as it was and with the looser one
are both scored online, in windows of the footage, against the labels that the looser one makes offline: what the
stricter one leaves out is not in its own labels. A change that gains little, or only here and there, is not made.

Other settings cannot be judged so. With a looser `match_thresh` HOTA against such labels rises on MOT17 (+0.5) and
falls on SportsMOT (-0.2), and that against the ground truth does the contrary (-1.3, +2.0): the labels favour the value
that they were made with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, repeat

import numpy as np

from streamdet.errors import InputError
from streamdet.evaluate.mot import Measurements, MotScores, combine, measure, trackeval_metrics
from streamdet.evaluate.sequences import MotSequence
from streamdet.tune.footage import Footage
from streamdet.tune.search import Scorer
from streamdet.tune.sequences import LabelledSequence
from trackers.config import TrackerConfig
from trackers.types import FloatArray

# The thresholds that detectors and scenes differ in, and their looser values as shares of the present ones.
LOOSER = {"new_track_thresh": 0.82, "track_high_thresh": 0.67}
MIN_GAIN = 0.3  # HOTA against the tracker's own labels: less is not worth a change
MIN_CERTAINTY = 2.0  # standard errors that the mean gain of the windows must be above 0
WINDOW_S = 5.0  # in which trackers are compared
FEWEST_WINDOWS = 5
FEWEST_TRACKS = 10  # that are consistent


@dataclass(frozen=True, slots=True)
class Comparison:
    """A tracker with one setting looser, beside the one before, by the labels that it makes of itself.

    `setting` went from `old` to `new`; `before` and `after` are the scores of both by window.
    """

    setting: str
    old: float
    new: float
    before: MotScores
    after: MotScores

    @property
    def gain(self) -> float:
        """The gain in HOTA, in percent."""
        return self.after.combined.hota - self.before.combined.hota

    @property
    def gains(self) -> FloatArray:
        """The gain in HOTA of each window (N,), in percent."""
        scores = self.before.sequences.items()
        return np.array([self.after.sequences[name].hota - score.hota for name, score in scores])

    @property
    def certainty(self) -> float:
        """The mean gain of the windows in its standard errors, 0 where no window changed."""
        mean, error = self.gains.mean(), self.gains.std() / np.sqrt(max(len(self.gains) - 1, 1))
        if not mean:
            return 0.0
        return float(mean / error) if error else float(np.copysign(np.inf, mean))

    @property
    def adopted(self) -> bool:
        """Whether the looser setting is better beyond doubt."""
        enough = len(self.gains) >= FEWEST_WINDOWS
        return enough and self.gain >= MIN_GAIN and self.certainty >= MIN_CERTAINTY


@dataclass(frozen=True, slots=True)
class Adaptation:
    """The result: the tracker `config`, and what was compared, in order."""

    config: TrackerConfig
    comparisons: tuple[Comparison, ...]


def adapt(
    config: TrackerConfig,
    footage: Sequence[Footage],
    *,
    jobs: int = 1,
) -> Adaptation:
    """Return the tracker of `config` with the settings loosened that the `footage` shows to be too strict.

    `jobs` is the number of processes that share the work; it does not change the result. Raises InputError for footage
    that is too short or shows too few objects, and MissingExtraError without TrackEval.
    """
    _require_enough(footage)
    compared: list[Comparison] = []
    with Scorer(jobs) as scorer:
        for setting in LOOSER:
            if (looser := _loosened(config, setting)) is None:
                continue
            labelled = scorer.map(Footage.labelled, footage, repeat(looser))
            _require_tracks(labelled)
            before, after = (_scored(each, labelled, scorer) for each in (config, looser))
            old, new = (getattr(each.settings, setting) for each in (config, looser))
            compared.append(Comparison(setting, old, new, before, after))
            if compared[-1].adopted:
                config = looser
    return Adaptation(config, tuple(compared))


def _loosened(config: TrackerConfig, setting: str) -> TrackerConfig | None:
    """Return `config` with a looser `setting`, None if the tracker has none, or other settings forbid it."""
    value = getattr(config.settings, setting, None)
    if value is None:
        return None
    try:
        return replace(config, settings=replace(config.settings, **{setting: round(LOOSER[setting] * value, 3)}))
    except ValueError:
        return None


def _scored(config: TrackerConfig, labelled: Sequence[LabelledSequence], scorer: Scorer) -> MotScores:
    """Return the scores, by window, of the tracker of `config`."""
    found = scorer.map(_measure_windows, labelled, repeat(config))
    return combine({name: measurements for sequence in found for name, measurements in sequence.items()})


def _measure_windows(sequence: LabelledSequence, config: TrackerConfig) -> dict[str, Measurements]:
    """Return TrackEval's results for the tracker of `config`, which follows the whole of `sequence`, by window."""
    windows, metrics = windows_of(sequence.tracked(config), sequence.frame_rate), trackeval_metrics()
    return {window.name: measure(window, metrics) for window in windows}


def windows_of(sequence: MotSequence, frame_rate: float) -> list[MotSequence]:
    """Return `sequence` in windows of at least `WINDOW_S`, or whole if it is shorter: those with labels that count."""
    count = max(int(sequence.length / (frame_rate * WINDOW_S)), 1)
    ends = np.linspace(0, sequence.length, count + 1).astype(int).tolist()
    cut = [_window(sequence, end + 1, next_end) for end, next_end in pairwise(ends)]
    return [window for window in cut if window.ground_truth.extra[:, 0].any()]


def _window(sequence: MotSequence, first: int, last: int) -> MotSequence:
    truth, tracks = (table.window(first, last) for table in (sequence.ground_truth, sequence.tracks))
    name = f"{sequence.name}, frames {first} to {last}"
    return MotSequence(name, last - first + 1, sequence.benchmark, truth, tracks)


def _require_enough(footage: Sequence[Footage]) -> None:
    names = ", ".join(each.name for each in footage)
    if (found_s := sum(each.duration_s for each in footage)) < FEWEST_WINDOWS * WINDOW_S:
        least_s = FEWEST_WINDOWS * WINDOW_S
        raise InputError(f"expected at least {least_s:g} s of video to tune on, found {found_s:.1f} s in {names}")
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
