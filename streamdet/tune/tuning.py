"""The tuning of a tracker: a search within bounds, a check on held-out frames, and a YAML file with the result."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile

import yaml

from streamdet.errors import InputError, OutputError
from streamdet.evaluate.mot import MotScores
from streamdet.evaluate.sequences import Half
from streamdet.files import replacing
from streamdet.tune.search import Scorer, Trial, search
from streamdet.tune.sequences import LabelledSequence
from trackers.config import TrackerConfig

_OTHER_HALF: dict[Half, Half] = {"train": "val", "val": "train"}


@dataclass(frozen=True, slots=True)
class Tuning:
    """The result of a search: the trial with the settings to `start` from, the `best` one, and the number of `trials`.

    `held_out` holds the scores of `start` and `best` on the other halves, None without labels there. `interrupted`
    tells whether Ctrl-C ended the search.
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
    """Return the result of a search for the best settings on one `half` of `sequences`, or on the whole sequences.

    - `config`: the tracker to start from, whose settings are scored first.
    - `trials`, `timeout_s`: the search ends after this number of trials, or with the first that ends after this time.
    - `jobs`: the number of processes that share the sequences of a trial. It does not change the result.
    - `on_trial`: called with each trial.

    KeyboardInterrupt ends the search with the best trial so far; during the first trial it is raised. Raises InputError
    when a sequence has no labels in its half, MissingExtraError without Optuna or TrackEval.
    """
    searched = [sequence.half(half) if half else sequence for sequence in sequences]
    for part in searched:
        _require_labels(part)
    others = [sequence.half(_OTHER_HALF[half]) for sequence in sequences] if half else []
    held_out_parts = [part for part in others if part.is_labelled]
    done: list[Trial] = []
    with Scorer(min(jobs, len(searched))) as scorer:
        found = islice(search(config, searched, scorer, seed=seed), trials)
        interrupted = _collect(found, done, time.monotonic() + timeout_s, on_trial)
        # The first of equals, so that settings change only for a better score.
        best = max(done, key=lambda trial: trial.hota)
        held_out = _held_out_scores(done[0], best, held_out_parts, scorer)
    return Tuning(done[0], best, len(done), held_out, interrupted)


def _require_labels(sequence: LabelledSequence) -> None:
    if not sequence.is_labelled:
        raise InputError(
            f"expected labels in frames {sequence.first} to {sequence.last} of sequence {sequence.name}, found none"
        )


def _collect(found: islice[Trial], done: list[Trial], end_s: float, on_trial: Callable[[Trial], None]) -> bool:
    """Append trials to `done` until `end_s` on the monotonic clock; return whether Ctrl-C ended this."""
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


def _held_out_scores(
    start: Trial, best: Trial, sequences: Sequence[LabelledSequence], scorer: Scorer
) -> tuple[MotScores, MotScores] | None:
    """Return the scores of both trials on `sequences`; None without sequences, and after Ctrl-C, to keep the best."""
    if not sequences:
        return None
    try:
        before = scorer.score(start.config, sequences)
        return before, before if best is start else scorer.score(best.config, sequences)
    except KeyboardInterrupt:
        return None


def require_writable(path: Path) -> None:
    """Raise InputError if `write_tracker` cannot write to `path`; an existing file is not changed."""
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is no file")
        TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise InputError(f"expected to write the tracker to {path}, but {error.strerror}") from None


def write_tracker(path: Path, config: TrackerConfig, comment: Sequence[str]) -> None:
    """Write `config` as YAML, after the lines of `comment`, atomically; raises OutputError when that fails."""
    options = {"tracker_type": config.kind, **asdict(config.settings), **config.image_options}
    text = "".join(f"# {line}\n" for line in comment) + yaml.safe_dump(options, sort_keys=False, allow_unicode=True)
    try:
        with replacing(path) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"writing the tracker to {path} failed: {error.strerror}") from error
