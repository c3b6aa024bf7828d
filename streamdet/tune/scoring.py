"""Scores a tracker on several sequences at once, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import repeat

from streamdet.evaluate.mot import Measurements, MotScores, combine, measure, trackeval_metrics
from streamdet.tune.sequences import LabelledSequence
from trackers.config import TrackerConfig


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
