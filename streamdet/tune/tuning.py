"""Tunes a tracker: a bounded search, a check on frames that it did not see, and a YAML file of the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import yaml

from streamdet.errors import InputError, OutputError
from streamdet.evaluate.mot import MotScores
from streamdet.evaluate.sequences import Half
from streamdet.tune.search import Scorer, Trial, search
from streamdet.tune.sequences import LabelledSequence
from trackers.config import TrackerConfig


def require_writable(path: Path) -> None:
    """Raise InputError unless a file can be written at `path`; one that is there stays as it is."""
    existed = path.exists()
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise InputError(f"expected to write the tracker to {path}, but {error.strerror}") from None
    if not existed:
        path.unlink()


def write_tracker(path: Path, config: TrackerConfig, comment: Sequence[str]) -> None:
    """Write `config` as YAML below the lines of `comment`; raises OutputError when the disk refuses."""
    options = {"tracker_type": config.kind, **asdict(config.settings), **config.image_options}
    text = "".join(f"# {line}\n" for line in comment) + yaml.safe_dump(options, sort_keys=False, allow_unicode=True)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"writing the tracker to {path} failed: {error.strerror}") from error


OTHER: dict[Half, Half] = {"train": "val", "val": "train"}


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a search found: the trial with the settings to `start` from, the `best` one, and how many `trials` it took.

    `held_out` are the scores of both on the other halves, None when there are no labels. `interrupted` tells whether
    Ctrl-C ended the search.
    """

    start: Trial
    best: Trial
    trials: int
    held_out: tuple[MotScores, MotScores] | None
    interrupted: bool


def tune(
    config: TrackerConfig,
    sequences: Sequence[LabelledSequence],
    *,
    half: Half | None = None,
    trials: int = 60,
    timeout_s: float = float("inf"),
    seed: int = 0,
    jobs: int = 1,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Tuning:
    """Return the settings that score best on that `half` of whole `sequences`, never worse than those of `config`.

    The search ends after `trials`, or with the first one that ends after `timeout_s`; `on_trial` sees each. `jobs`
    processes share the sequences of a trial, and the result does not depend on their number. KeyboardInterrupt ends the
    search with the best so far; during the first trial it is raised. Raises InputError when a sequence has no labels in
    its half, MissingExtraError without Optuna or TrackEval.
    """
    seen = [_labelled(whole.half(half) if half else whole) for whole in sequences]
    unseen = [part for part in (whole.half(OTHER[half]) for whole in sequences) if part.is_labelled] if half else []
    done: list[Trial] = []
    with Scorer(min(jobs, len(seen))) as scorer:
        found = islice(search(config, seen, scorer, seed=seed), trials)
        interrupted = _collect(found, done, time.monotonic() + timeout_s, on_trial)
        # The first of equals: what gains nothing changes nothing.
        best = max(done, key=lambda trial: trial.hota)
        held_out = _held_out(done[0], best, unseen, scorer)
    return Tuning(done[0], best, len(done), held_out, interrupted)


def _labelled(sequence: LabelledSequence) -> LabelledSequence:
    if not sequence.is_labelled:
        raise InputError(
            f"expected labels in frames {sequence.first} to {sequence.last} of sequence {sequence.name}, found none"
        )
    return sequence


def _collect(found: islice[Trial], done: list[Trial], end_s: float, on_trial: Callable[[Trial], None]) -> bool:
    """Append trials to `done` until `end_s` on the monotonic clock; returns whether Ctrl-C came before."""
    try:
        for trial in found:
            done.append(trial)
            on_trial(trial)
            if time.monotonic() >= end_s:
                break
    except KeyboardInterrupt:
        if not done:
            raise
        return True
    return False


def _held_out(
    start: Trial, best: Trial, sequences: Sequence[LabelledSequence], scorer: Scorer
) -> tuple[MotScores, MotScores] | None:
    """Return the scores of both trackers on `sequences`; another Ctrl-C leaves them out, so that the best is kept."""
    if not sequences:
        return None
    try:
        before = scorer.score(start.config, sequences)
        return before, before if best is start else scorer.score(best.config, sequences)
    except KeyboardInterrupt:
        return None
