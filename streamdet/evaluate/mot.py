"""Scores tracks against MOT ground truth with the TrackEval library (extra ``eval``).

HOTA: Luiten et al., arXiv 2009.07736. MOTA: Bernardin and Stiefelhagen, CLEAR MOT, 2008. IDF1: Ristani et al.,
arXiv 1609.01775. TrackEval 1.3 needs no shim on NumPy 2: it uses none of the aliases that NumPy removed (``np.float``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from streamdet.errors import MissingExtraError
from streamdet.evaluate.mot_file import MotTable
from streamdet.evaluate.mot_sequence import MotSequence, read_sequences


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
    metrics = _metrics()
    results: dict[str, dict[str, Any]] = {name: {} for name in metrics}
    for sequence in read_sequences(ground_truth, tracks, half, sequences):
        boxes = _matched(sequence)
        for name, metric in metrics.items():
            results[name][sequence.name] = metric.eval_sequence(boxes)
    combined = {name: metric.combine_sequences(results[name]) for name, metric in metrics.items()}
    scored = {name: _scores({metric: results[metric][name] for metric in metrics}) for name in results["HOTA"]}
    return MotScores(scored, _scores(combined))


def _metrics() -> dict[str, Any]:
    try:
        from trackeval import metrics
    except ImportError:
        raise MissingExtraError("trackeval", "eval") from None
    quiet = {"PRINT_CONFIG": False}
    return {"HOTA": metrics.HOTA(), "CLEAR": metrics.CLEAR(dict(quiet)), "Identity": metrics.Identity(dict(quiet))}


def _matched(sequence: MotSequence) -> dict[str, Any]:
    """Return what TrackEval's metrics take: boxes, ids and IoU per frame after the benchmark's preprocessing."""
    from trackeval.datasets import MotChallenge2DBox

    with TemporaryDirectory(prefix="streamdet-eval-") as folder:
        ground_truth, tracks = Path(folder, "gt.txt"), Path(folder, "tracks.txt")
        _write(ground_truth, sequence.ground_truth, _flag_and_class(sequence))
        # No metric reads the score of a track; TrackEval refuses any class but 1, a pedestrian.
        _write(tracks, sequence.tracks, np.ones((len(sequence.tracks), 2)))
        dataset = MotChallenge2DBox(
            {
                "GT_FOLDER": folder,
                "GT_LOC_FORMAT": "{gt_folder}/gt.txt",
                "TRACKERS_FOLDER": folder,
                "TRACKERS_TO_EVAL": [""],
                "TRACKER_SUB_FOLDER": "",
                "BENCHMARK": sequence.benchmark,
                "SEQ_INFO": {"tracks": sequence.length},
                "SKIP_SPLIT_FOL": True,
                "PRINT_CONFIG": False,
            }
        )
        return dict(dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("", "tracks"), "pedestrian"))


def _flag_and_class(sequence: MotSequence) -> npt.NDArray[np.float64]:
    """Return flag and class of the ground truth boxes, (N, 2); without classes all are pedestrians (1)."""
    flag_class = sequence.ground_truth.extra[:, :2]
    if sequence.benchmark != "MOT15":
        return flag_class
    return np.column_stack([flag_class[:, 0], np.ones(len(flag_class))])


def _write(path: Path, table: MotTable, flag_class: npt.NDArray[np.float64]) -> None:
    """Write `table` the way TrackEval reads it: ids dense, since it sizes its tables by the largest one."""
    ids = np.unique(table.ids, return_inverse=True)[1]
    np.savetxt(path, np.column_stack([table.frames, ids, table.boxes, flag_class]), fmt="%.17g", delimiter=",")


def _scores(results: Mapping[str, Mapping[str, Any]]) -> SequenceScores:
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
