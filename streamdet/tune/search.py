"""The search for the settings of a tracker that give the best HOTA: its ranges, its trials, and their scores.

It uses a tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import count, repeat
from typing import TYPE_CHECKING, Any, TypeVar

from streamdet.errors import MissingExtraError
from streamdet.evaluate.mot import Measurements, MotScores, combine, measure, trackeval_metrics
from streamdet.tune.sequences import LabelledSequence
from trackers.config import TrackerConfig
from trackers.types import Config

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution


R = TypeVar("R")

# The range of the time that a track may live without a detection.
BUFFER_RANGE_S = (0.2, 4.0)
# Other times, and counts, are searched from the present value divided by this to the present value times this.
FACTOR = 3
# These are searched up to the highest score of a detection.
SCORE_THRESHOLDS = {"track_high_thresh", "track_low_thresh", "new_track_thresh"}
# These have no effect, since MOT detections have no images and no classes.
IDLE = {"proximity_thresh", "appearance_thresh", "class_aware"}


@dataclass(frozen=True, slots=True)
class Trial:
    """A tracker that was scored; `number` counts from 0, the tracker with the start settings."""

    number: int
    config: TrackerConfig
    scores: MotScores

    @property
    def hota(self) -> float:
        """The HOTA of all sequences together, in percent, which the search maximises."""
        return self.scores.combined.hota


def search(
    start: TrackerConfig, sequences: Sequence[LabelledSequence], scorer: Scorer, *, seed: int = 0
) -> Iterator[Trial]:
    """Yield trials without end, the first one with the settings of `start`.

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
    """Return Optuna's next trial and its tracker; contradictory settings are drawn again and do not count."""
    from optuna.trial import TrialState

    while True:
        asked = study.ask(space)
        # Three significant digits, so that the settings are readable.
        sampled = {
            name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in asked.params.items()
        }
        try:
            return asked, replace(start, settings=replace(start.settings, **sampled))
        except ValueError:
            study.tell(asked, state=TrialState.FAIL)


def search_space(settings: Config, highest_score: float) -> dict[str, BaseDistribution]:
    """Return the ranges of the settings to search by name; each includes the present value.

    Both values of a switch are searched, a share from 0 to 1, a threshold on scores up to the `highest_score` of a
    detection, times and counts near their present values; a time of 0 is left as it is.
    """
    ranges = {
        item.name: _range(item.name, item.default, getattr(settings, item.name), highest_score)
        for item in fields(settings)
        if item.name not in IDLE
    }
    return {name: found for name, found in ranges.items() if found is not None}


def _range(name: str, default: Any, value: Any, highest_score: float) -> BaseDistribution | None:
    """Return the range of one setting, whose kind its name and default tell: see `trackers.types.Config`."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

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
    """Runs and scores trackers on several sequences at once, in `jobs` processes, or with one job in this process.

    The scores do not depend on `jobs`. Raises MissingExtraError without TrackEval.
    """

    def __init__(self, jobs: int = 1) -> None:
        trackeval_metrics()
        # Not forked: the copy of a lock that another thread holds would never be released.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(jobs, context, initializer=_end_with_parent) if jobs > 1 else None

    def score(self, config: TrackerConfig, sequences: Sequence[LabelledSequence]) -> MotScores:
        """Return the scores of the tracker of `config` on `sequences`."""
        # The longest first, so that no process has to work on it alone at the end.
        ordered = sorted(sequences, key=lambda sequence: -len(sequence.detections.frames))
        measured = self.map(measure_tracker, ordered, repeat(config))
        by_name = {sequence.name: measurements for sequence, measurements in zip(ordered, measured, strict=True)}
        return combine({sequence.name: by_name[sequence.name] for sequence in sequences})

    def map(self, function: Callable[..., R], *arguments: Iterable[Any]) -> list[R]:
        """Return the results of `function`, one of a module, for each of the `arguments` in order, as `map` does."""
        if self._pool is None:
            return list(map(function, *arguments))
        with _interrupts_blocked():
            results = self._pool.map(function, *arguments)
        return list(results)

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)


def measure_tracker(sequence: LabelledSequence, config: TrackerConfig) -> Measurements:
    """Return TrackEval's results for the tracker of `config` on `sequence`."""
    return measure(sequence.tracked(config), trackeval_metrics())


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT inside the block; processes that are started there inherit this, so only this one gets Ctrl-C."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """End this process when its parent ends, also when the parent is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
