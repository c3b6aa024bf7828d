"""Searches a tracker's settings for HOTA with a tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from streamdet.errors import MissingExtraError
from streamdet.evaluate.mot import MotScores
from streamdet.tune.scoring import Scorer
from streamdet.tune.sequences import LabelledSequence
from trackers.config import TrackerConfig

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution


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
    from streamdet.tune.space import search_space

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
