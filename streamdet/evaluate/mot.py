"""Scores of tracks against MOT ground truth, counted by the TrackEval library (extra ``eval``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from streamdet.boxes import box_iou
from streamdet.errors import MissingExtraError
from streamdet.evaluate.measures import rotated_ious
from streamdet.evaluate.sequences import GroundTruth, MotSequence, read_sequences, read_tracks
from streamdet.types import Float64Array
from trackers.mot import MotTable

Measurements = Mapping[str, Mapping[str, Any]]  # TrackEval's results for one sequence, by metric and field


@dataclass(frozen=True, slots=True)
class SequenceScores:
    """The scores of one sequence, or of several together.

    `hota`, `det_a`, `ass_a` (means over the localisation thresholds 0.05, 0.10, ..., 0.95), `mota` and `idf1` (IoU 0.5)
    are in percent, NaN if no object of the ground truth counts; the others are counts. HOTA, DetA, AssA: Luiten et al.,
    arXiv 2009.07736; MOTA and the counts: Bernardin and Stiefelhagen, CLEAR MOT, 2008; IDF1: Ristani et al., arXiv
    1609.01775.
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
    """Scores by sequence name, and `combined`: those of all boxes counted together, not the mean of the sequences.

    `notes` say of sequences, by name, why no object of theirs counts.
    """

    sequences: Mapping[str, SequenceScores]
    combined: SequenceScores
    notes: Mapping[str, str] = field(default_factory=dict)


def evaluate_mot(
    ground_truth: Path,
    tracks: Path,
    *,
    half: Literal["train", "val"] | None = None,
    sequences: Sequence[str] | None = None,
) -> MotScores:
    """Return the scores of `tracks` against `ground_truth`.

    - `ground_truth`: a folder with ``SEQ/gt/gt.txt`` and ``SEQ/seqinfo.ini``, or one such SEQ folder.
    - `tracks`: a folder with ``SEQ.txt``, or that file when there is one sequence. Every track counts as a pedestrian,
      whatever the class in its row.
    - `half`: "train" scores only the first part, to frame length // 2 + 1, "val" only the second; frames of tracks in
      the second part may count from 1 at its beginning, or from the beginning of the sequence.
    - `sequences`: the names of the sequences to score, by default all.

    MOT16, MOT17 and MOT20 ground truth (nine columns) gets the MOTChallenge preprocessing: tracks matched to a
    distractor class are dropped, and only pedestrians with a non-zero flag count. MOT15 has no classes: every box with
    a non-zero flag counts. `mot_benchmark` tells them apart.

    Raises InputError for missing or malformed files, MissingExtraError without TrackEval.
    """
    metrics = trackeval_metrics()
    found = read_sequences(ground_truth, tracks, half, sequences)
    scores = combine({sequence.name: measure(sequence, metrics) for sequence in found})
    notes = {sequence.name: _without_objects(sequence) for sequence in found}
    return replace(scores, notes={name: note for name, note in notes.items() if np.isnan(scores.sequences[name].hota)})


def evaluate_tracks(
    truth: GroundTruth, tracks_file: Path, frame_count: int, rotated: Float64Array | None = None
) -> SequenceScores:
    """Score the MOT file of a run over `frame_count` frames; frames beyond the labels do not count.

    `rotated` f64 (N, 5) are the rotated boxes of the rows of the file, and count if those of `truth` are rotated, too.
    Raises InputError for a file that is malformed and MissingExtraError without TrackEval.
    """
    tracks = read_tracks(tracks_file, frame_count)
    if rotated is not None and truth.boxes.boxes.shape[1] == rotated.shape[1]:
        tracks = replace(tracks, boxes=rotated)
    tracks = tracks.window(1, truth.length)
    sequence = MotSequence(truth.name, truth.length, truth.benchmark, truth.boxes, tracks)
    return combine({truth.name: measure(sequence, trackeval_metrics())}).combined


def trackeval_metrics() -> dict[str, Any]:
    """Return the metrics that `measure` takes, by name; raises MissingExtraError without TrackEval."""
    try:
        from trackeval import metrics
    except ImportError:
        raise MissingExtraError("trackeval", "eval") from None
    quiet = {"PRINT_CONFIG": False}
    return {"HOTA": metrics.HOTA(), "CLEAR": metrics.CLEAR(dict(quiet)), "Identity": metrics.Identity(dict(quiet))}


def measure(sequence: MotSequence, metrics: Mapping[str, Any]) -> Measurements:
    """Return the results of TrackEval's `metrics` for one sequence."""
    boxes = _preprocessed(sequence)
    return {name: metric.eval_sequence(boxes) for name, metric in metrics.items()}


def combine(measurements: Mapping[str, Measurements]) -> MotScores:
    """Return the scores of sequences from their `measurements` by name; raises MissingExtraError without TrackEval."""
    combined = {
        name: metric.combine_sequences({sequence: found[name] for sequence, found in measurements.items()})
        for name, metric in trackeval_metrics().items()
    }
    return MotScores({name: _scores(found) for name, found in measurements.items()}, _scores(combined))


def _scores(results: Measurements) -> SequenceScores:
    """Return the scores in TrackEval's `results`."""
    hota, clear, identity = results["HOTA"], results["CLEAR"], results["Identity"]
    # Without an object there is nothing to be right about: TrackEval's 0 would be that of tracks that are all wrong.
    unit = 100.0 if clear["CLR_TP"] + clear["CLR_FN"] else np.nan
    return SequenceScores(
        hota=unit * float(np.mean(hota["HOTA"])),
        det_a=unit * float(np.mean(hota["DetA"])),
        ass_a=unit * float(np.mean(hota["AssA"])),
        mota=unit * float(clear["MOTA"]),
        idf1=unit * float(identity["IDF1"]),
        id_switches=int(clear["IDSW"]),
        fragments=int(clear["Frag"]),
        false_positives=int(clear["CLR_FP"]),
        false_negatives=int(clear["CLR_FN"]),
    )


def _without_objects(sequence: MotSequence) -> str:
    """Return the sentence for a sequence of which no object counts."""
    rows = len(sequence.ground_truth)
    flagged = int(np.count_nonzero(_flags_and_classes(sequence)[0]))
    found = "none at all" if not rows else f"{rows}, of which {flagged} have a flag other than 0 in column 7"
    expected = "boxes of pedestrians that count" if flagged else "boxes that count"
    return f"{sequence.name}: expected {expected} in {sequence.ground_truth.path}, found {found}: no score but FP"


def _preprocessed(sequence: MotSequence) -> dict[str, Any]:
    """Return the input of TrackEval's metrics: boxes, ids and IoU by frame, after the benchmark's preprocessing."""
    from trackeval.datasets import MotChallenge2DBox

    # TrackEval requires the path of an existing file, and expands it as a format string, hence the doubled braces.
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
    """Return TrackEval's raw data: for every column a list with one array for each frame that has a box.

    No metric depends on a frame without boxes, of which there may be many: where frame numbers are time stamps.
    """
    truth, tracks = sequence.ground_truth, sequence.tracks
    frames = np.union1d(truth.frames, tracks.frames) if len(truth) + len(tracks) else np.array([1])
    flags, classes = _flags_and_classes(sequence)
    truth_boxes, track_boxes = _split(truth, truth.boxes, frames), _split(tracks, tracks.boxes, frames)
    return {
        "seq": sequence.name,
        "num_timesteps": len(frames),
        "gt_ids": _split(truth, _dense(truth.ids), frames),
        "gt_classes": _split(truth, classes, frames),
        "gt_dets": truth_boxes,
        "gt_extras": [{"zero_marked": frame} for frame in _split(truth, flags, frames)],
        "tracker_ids": _split(tracks, _dense(tracks.ids), frames),
        # TrackEval accepts only class 1, a pedestrian; no metric reads the confidence.
        "tracker_classes": _split(tracks, np.ones(len(tracks), np.int64), frames),
        "tracker_confidences": _split(tracks, np.ones(len(tracks)), frames),
        "tracker_dets": track_boxes,
        "similarity_scores": [_iou(*boxes) for boxes in zip(truth_boxes, track_boxes, strict=True)],
    }


def _flags_and_classes(sequence: MotSequence) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the flags and the classes of the ground truth, (N,) each; in MOT15 all are pedestrians, class 1."""
    extra = sequence.ground_truth.extra.astype(np.int64)
    flags = extra[:, 0]
    return flags, np.ones_like(flags) if sequence.benchmark == "MOT15" else extra[:, 1]


def _dense(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return `ids` renumbered from 0 without gaps, since the largest one decides the size of TrackEval's tables."""
    return np.unique(ids, return_inverse=True)[1]


def _split(table: MotTable, column: npt.NDArray[Any], frames: npt.NDArray[np.int64]) -> list[npt.NDArray[Any]]:
    """Return the rows of `column`, one of `table`, for each of `frames` (T,), ascending, which are all of the table."""
    order = np.argsort(table.frames, kind="stable")
    return np.split(column[order], np.searchsorted(table.frames[order], frames[1:]))


def _iou(truth: Float64Array, tracks: Float64Array) -> Float64Array:
    """Return the IoU (N, M) of boxes (N, 4) and (M, 4) as x, y, width, height in px, or of rotated ones (N, 5), (M, 5).

    That of an empty box is 0.
    """
    if truth.shape[1] == 5:
        return rotated_ious(truth, tracks)
    return box_iou(*(np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]) for boxes in (truth, tracks)))
