"""Lays a sequence out frame by frame and applies its benchmark's preprocessing, both as TrackEval takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.evaluate.sequences import MotSequence
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
    near = np.maximum(truth[:, None, :2], tracks[None, :, :2])
    far = np.minimum((truth[:, :2] + truth[:, 2:])[:, None], (tracks[:, :2] + tracks[:, 2:])[None])
    intersection = np.maximum(far - near, 0).prod(axis=2)
    # IoU = |A n B| / (|A| + |B| - |A n B|)
    union = truth[:, 2:].prod(axis=1)[:, None] + tracks[:, 2:].prod(axis=1)[None] - intersection
    overlap: Float64Array = np.zeros_like(union)
    np.divide(intersection, union, out=overlap, where=union > np.finfo(np.float64).eps)
    return overlap
