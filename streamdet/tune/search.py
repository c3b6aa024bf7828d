"""Searches a tracker's settings for HOTA: where, how, and scored in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import count, repeat
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from streamdet.errors import MissingExtraError
from streamdet.evaluate.mot import Measurements, MotScores, combine, measure, trackeval_metrics
from streamdet.tune.sequences import LabelledSequence
from trackers.config import TrackerConfig
from trackers.types import Config

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution


# How long a track may live on unseen: from a blink to a passing bus.
BUFFER_RANGE_S = (0.2, 4.0)
# Other times, and counts, are searched from their present value divided by this to their present value times this.
FACTOR = 3
# Above the surest detection there is nothing to find.
SCORE_THRESHOLDS = {"track_high_thresh", "track_low_thresh", "new_track_thresh"}
# MOT detections come without images and classes, so that these decide nothing.
IDLE = {"proximity_thresh", "appearance_thresh", "class_aware"}


def search_space(settings: Config, highest_score: float) -> dict[str, BaseDistribution]:
    """Return the range of every setting that is worth a search; each holds the present value.

    A switch takes both values, a share all from 0 to 1, a threshold on scores those up to the `highest_score` of a
    detection, times and counts those of the present magnitude; a time of 0 stays, for that is no magnitude.
    """
    ranges = {
        item.name: _range(item.name, item.default, getattr(settings, item.name), highest_score)
        for item in fields(settings)
        if item.name not in IDLE
    }
    return {name: found for name, found in ranges.items() if found is not None}


def _range(name: str, default: Any, value: Any, highest_score: float) -> BaseDistribution | None:
    """Return the range of one setting: the rules of `trackers.types` tell its kind."""
    if isinstance(default, bool):
        return CategoricalDistribution([False, True])
    if isinstance(default, int):
        return IntDistribution(max(1, value // FACTOR), value * FACTOR)
    if name in SCORE_THRESHOLDS:
        return FloatDistribution(0, max(highest_score, value))
    if not name.endswith("_s"):
        return FloatDistribution(0, 1)
    if value == 0:
        return None
    low, high = BUFFER_RANGE_S if name == "track_buffer_s" else (value / FACTOR, value * FACTOR)
    return FloatDistribution(min(low, value), max(high, value), log=True)


class Scorer:
    """Tracks and scores sequences in `jobs` processes; with one job it needs no process but this.

    Scores do not depend on `jobs`. Raises MissingExtraError without TrackEval.
    """

    def __init__(self, jobs: int = 1) -> None:
        trackeval_metrics()
        # Started afresh instead of forked: a copy of threads' locks could be held for ever.
        fresh = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(jobs, fresh, initializer=_end_with_parent) if jobs > 1 else None

    def score(self, config: TrackerConfig, sequences: Sequence[LabelledSequence]) -> MotScores:
        """Return the scores of the tracker of `config` on `sequences`."""
        # The longest first, so that no process is left with it at the end.
        ordered = sorted(sequences, key=lambda sequence: -len(sequence.detections.frames))
        if self._pool is None:
            measured: Iterator[Measurements] = map(measure_tracker, ordered, repeat(config))
        else:
            with _interrupts_held_back():
                measured = self._pool.map(measure_tracker, ordered, repeat(config))
        found = {sequence.name: figures for sequence, figures in zip(ordered, measured, strict=True)}
        return combine({sequence.name: found[sequence.name] for sequence in sequences})

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)


def measure_tracker(sequence: LabelledSequence, config: TrackerConfig) -> Measurements:
    """Return what TrackEval counts for the tracker of `config` on `sequence`."""
    return measure(sequence.tracked(config), trackeval_metrics())


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold back Ctrl-C inside the block; processes started there never get it, only this one decides what it means."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """End this process when its parent does, also when that is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@dataclass(frozen=True, slots=True)
class Trial:
    """One tracker that was tried: `number` from 0, which is the one to start from."""

    number: int
    config: TrackerConfig
    scores: MotScores

    @property
    def hota(self) -> float:
        """What is maximised: HOTA of all sequences together, in percent."""
        return self.scores.combined.hota


def search(
    start: TrackerConfig, sequences: Sequence[LabelledSequence], scorer: Scorer, *, seed: int = 0
) -> Iterator[Trial]:
    """Yield trial after trial without end, the first with the settings of `start`.

    The same arguments give the same trials. Raises MissingExtraError without Optuna.
    """
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("optuna", "tune") from None

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    space = search_space(start.settings, max(sequence.highest_score for sequence in sequences))
    first = Trial(0, start, scorer.score(start, sequences))
    present = {name: getattr(start.settings, name) for name in space}
    study.add_trial(optuna.trial.create_trial(params=present, distributions=space, value=first.hota))
    yield first
    for number in count(1):
        asked, config = _proposal(study, space, start)
        trial = Trial(number, config, scorer.score(config, sequences))
        study.tell(asked, trial.hota)
        yield trial


def _proposal(
    study: optuna.Study, space: dict[str, BaseDistribution], start: TrackerConfig
) -> tuple[optuna.Trial, TrackerConfig]:
    """Return what to try next; settings that contradict each other are drawn again and cost no trial."""
    from optuna.trial import TrialState

    while True:
        asked = study.ask(space)
        sampled = {name: _readable(value) for name, value in asked.params.items()}
        try:
            return asked, replace(start, settings=replace(start.settings, **sampled))
        except ValueError:
            study.tell(asked, state=TrialState.FAIL)


def _readable(value: Any) -> Any:
    """Return a sampled value to three significant digits, as a person would write it."""
    return float(f"{value:.3g}") if isinstance(value, float) else value
