"""Scores tracks against MOT ground truth with the TrackEval library (extra ``eval``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from streamdet.boxes import box_iou
from streamdet.errors import MissingExtraError
from streamdet.evaluate.sequences import MotSequence, read_sequences
from streamdet.types import Float64Array
from trackers.mot import MotTable

Frames = list[npt.NDArray[Any]]


def preprocessed(sequence: MotSequence) -> dict[str, Any]:
    """Return what TrackEval's metrics take: boxes, ids and IoU per frame after the benchmark's preprocessing."""
    from trackeval.datasets import MotChallenge2DBox

    # TrackEval insists on a file that exists: here the one that is already read. A single brace would begin a field.
    ground_truth_file = str(sequence.ground_truth.path.resolve()).replace("{", "{{").replace("}", "}}")
    dataset = MotChallenge2DBox(
        {
            "GT_LOC_FORMAT": ground_truth_file,
            "TRACKERS_TO_EVAL": [],
            "BENCHMARK": sequence.benchmark,
            "SEQ_INFO": {sequence.name: sequence.length},
            "PRINT_CONFIG": False,
        }
    )
    return dict(dataset.get_preprocessed_seq_data(_by_frame(sequence), "pedestrian"))


def _by_frame(sequence: MotSequence) -> dict[str, Any]:
    """Return TrackEval's raw data: a list with one array per frame for every column."""
    truth, tracks, length = sequence.ground_truth, sequence.tracks, sequence.length
    flags, classes = _flags_and_classes(sequence)
    truth_boxes, track_boxes = _split(truth, truth.boxes, length), _split(tracks, tracks.boxes, length)
    return {
        "seq": sequence.name,
        "num_timesteps": length,
        "gt_ids": _split(truth, _dense(truth.ids), length),
        "gt_classes": _split(truth, classes, length),
        "gt_dets": truth_boxes,
        "gt_extras": [{"zero_marked": frame} for frame in _split(truth, flags, length)],
        "tracker_ids": _split(tracks, _dense(tracks.ids), length),
        # TrackEval refuses any class but 1, a pedestrian, and no metric reads the confidence.
        "tracker_classes": _split(tracks, np.ones(len(tracks), np.int64), length),
        "tracker_confidences": _split(tracks, np.ones(len(tracks)), length),
        "tracker_dets": track_boxes,
        "similarity_scores": [_iou(*boxes) for boxes in zip(truth_boxes, track_boxes, strict=True)],
    }


def _flags_and_classes(sequence: MotSequence) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return flag and class of the ground truth boxes, (N,) each; without classes all are pedestrians (1)."""
    flags, classes = sequence.ground_truth.extra[:, :2].astype(np.int64).T
    return flags, np.ones_like(flags) if sequence.benchmark == "MOT15" else classes


def _dense(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return `ids` renumbered from 0, since TrackEval sizes its tables by the largest one."""
    return np.unique(ids, return_inverse=True)[1]


def _split(table: MotTable, column: npt.NDArray[Any], length: int) -> Frames:
    """Return the rows of `column`, a column of `table`, for each frame from 1 to `length`."""
    order = np.argsort(table.frames, kind="stable")
    return np.split(column[order], np.searchsorted(table.frames[order], np.arange(2, length + 1)))


def _iou(truth: Float64Array, tracks: Float64Array) -> Float64Array:
    """Return the overlap (N, M) of boxes (N, 4) and (M, 4), x, y, width, height in px; that of an empty box is 0."""
    return box_iou(*(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]) for boxes in (truth, tracks)))


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
