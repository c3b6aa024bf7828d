"""Scores tracks against MOT ground truth with the TrackEval library (extra ``eval``).

HOTA: Luiten et al., arXiv 2009.07736. MOTA: Bernardin and Stiefelhagen, CLEAR MOT, 2008. IDF1: Ristani et al.,
arXiv 1609.01775. TrackEval 1.3 needs no shim on NumPy 2: it uses none of the aliases that NumPy removed (``np.float``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from streamdet.errors import MissingExtraError
from streamdet.evaluate.mot_boxes import preprocessed
from streamdet.evaluate.sequences import MotSequence, read_sequences

Measurements = Mapping[str, Mapping[str, Any]]
"""TrackEval's figures of one sequence by metric and field."""


@dataclass(frozen=True, slots=True)
class SequenceScores:
    """The scores of one sequence, or of several together.

    `hota`, `det_a`, `ass_a` (means over the localisation thresholds 0.05, 0.10, ..., 0.95), `mota` and `idf1` (IoU 0.5)
    in percent; the others are counts.
    """

    hota: float
    det_a: float
    ass_a: float
    mota: float
    idf1: float
    id_switches: int
    fragments: int
    false_positives: int
    false_negatives: int


@dataclass(frozen=True, slots=True)
class MotScores:
    """Scores by sequence name, and `combined`: all boxes counted together, not the mean of the sequences."""

    sequences: Mapping[str, SequenceScores]
    combined: SequenceScores


def evaluate_mot(
    ground_truth: Path,
    tracks: Path,
    *,
    half: Literal["train", "val"] | None = None,
    sequences: Sequence[str] | None = None,
) -> MotScores:
    """Return the scores of `tracks` against `ground_truth`.

    `ground_truth` holds ``SEQ/gt/gt.txt`` and ``SEQ/seqinfo.ini``, or is one such SEQ folder; `tracks` holds
    ``SEQ.txt``, or is that file when there is one sequence; `sequences` selects by name. Every track counts as a
    pedestrian, whatever class its row names. `half` scores the first ("train", to frame length // 2 + 1) or the second
    part ("val") alone; tracks of the second may be numbered from 1 there or through the whole sequence.

    MOT16, MOT17 and MOT20 ground truth (nine columns) gets the MOTChallenge preprocessing: tracks matched to a
    distractor class are dropped, and only pedestrians with a non-zero flag count. MOT15 has no classes: every box with
    a non-zero flag counts. `benchmark_of` states the rule that tells them apart.

    Raises InputError for missing or malformed files, MissingExtraError without TrackEval.
    """
    metrics = trackeval_metrics()
    return combine(
        {
            sequence.name: measure(sequence, metrics)
            for sequence in read_sequences(ground_truth, tracks, half, sequences)
        }
    )


def trackeval_metrics() -> dict[str, Any]:
    """Return the metrics that `measure` takes, by name; raises MissingExtraError without TrackEval."""
    try:
        from trackeval import metrics
    except ImportError:
        raise MissingExtraError("trackeval", "eval") from None
    quiet = {"PRINT_CONFIG": False}
    return {"HOTA": metrics.HOTA(), "CLEAR": metrics.CLEAR(dict(quiet)), "Identity": metrics.Identity(dict(quiet))}


def measure(sequence: MotSequence, metrics: Mapping[str, Any]) -> Measurements:
    """Return what TrackEval's `metrics` count in one sequence that is already read."""
    boxes = preprocessed(sequence)
    return {name: metric.eval_sequence(boxes) for name, metric in metrics.items()}


def combine(measurements: Mapping[str, Measurements]) -> MotScores:
    """Return the scores of what was measured, by sequence name; raises MissingExtraError without TrackEval."""
    combined = {
        name: metric.combine_sequences({sequence: found[name] for sequence, found in measurements.items()})
        for name, metric in trackeval_metrics().items()
    }
    return MotScores({name: _scores(found) for name, found in measurements.items()}, _scores(combined))


def _scores(results: Measurements) -> SequenceScores:
    """Pick the scores out of TrackEval's `results` by metric and field."""
    hota, clear, identity = results["HOTA"], results["CLEAR"], results["Identity"]
    return SequenceScores(
        hota=100 * float(np.mean(hota["HOTA"])),
        det_a=100 * float(np.mean(hota["DetA"])),
        ass_a=100 * float(np.mean(hota["AssA"])),
        mota=100 * float(clear["MOTA"]),
        idf1=100 * float(identity["IDF1"]),
        id_switches=int(clear["IDSW"]),
        fragments=int(clear["Frag"]),
        false_positives=int(clear["CLR_FP"]),
        false_negatives=int(clear["CLR_FN"]),
    )
