"""Footage without labels: the detections of a video, and the labels that a tracker makes of it for itself.

Such labels are the refined tracks of the whole video, as far as they are the same when time is reversed: a track that
ends, or changes its object, depending on the direction in which it is followed says nothing. Where they differ, boxes
count neither as right nor as wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from streamdet.boxes import box_iou
from streamdet.errors import InputError
from streamdet.evaluate.sequences import GroundTruth
from streamdet.tune.sequences import (
    LabelledSequence,
    camera_motion_of,
    mot_table,
    read_frame_rate,
    scored_detections,
)
from streamdet.types import Detections
from trackers.config import TrackerConfig
from trackers.mot import MotRows
from trackers.offline import refine, track_frames
from trackers.types import BoolArray, FloatArray, IntArray

SAME_BOX_IOU = 0.5
SAME_TRACK_SHARE = 0.8  # of the boxes of both tracks, which they must have in common
USUAL_RATE_HZ = 30.0
# MOT17's columns flag, class and visibility (arXiv 1603.00831, table 2). Boxes of distractors do not count.
_COUNTS = (1, 1, 1)
_DOES_NOT_COUNT = (0, 8, 1)


@dataclass(frozen=True, slots=True)
class Footage:
    """The detections of the video `name` of `length` frames.

    `camera_motion` f64 (F, 2, 3) is what `trackers.mot.read_camera_motion` returns; `frame_rate` is in Hz.
    """

    name: str
    length: int
    frame_rate: float
    detections: MotRows
    camera_motion: FloatArray | None = None

    @classmethod
    def detected(
        cls, name: str, frame_rate: float, frames: Sequence[Detections], motions: Sequence[FloatArray | None]
    ) -> Footage:
        """Return the footage with these detections in its `frames`.

        `motions` are the affines (2, 3) in px into each of them from the one before, None for a camera that is still.
        """
        rows = [
            MotRows(
                np.full(len(found), number),
                np.full(len(found), -1),
                found.boxes.astype(np.float64),
                found.scores.astype(np.float64),
                found.class_ids,
            )
            for number, found in enumerate(frames, 1)
        ]
        steps = np.array([np.eye(2, 3) if motion is None else motion for motion in motions])
        return cls(name, len(rows), frame_rate, MotRows.concatenate(rows), steps.reshape(-1, 2, 3))

    @property
    def duration_s(self) -> float:
        """The length in s."""
        return self.length / self.frame_rate

    def backwards(self) -> Footage:
        """Return the footage with the last frame first; raises InputError for camera motion that has no inverse."""
        motion = self.camera_motion
        if motion is not None:
            steps = motion[self.length - 1 : 0 : -1]
            if not np.linalg.det(steps[:, :, :2]).all():
                raise InputError(f"{self.name}: expected camera motions that can be undone, found one without inverse")
            undone = [np.linalg.inv(np.vstack([step, (0, 0, 1)]))[:2] for step in steps]
            motion = np.stack([np.eye(2, 3), *undone])
        return Footage(self.name, self.length, self.frame_rate, self._turned(self.detections), motion)

    def labelled(self, config: TrackerConfig) -> LabelledSequence:
        """Return the footage with the labels that the tracker of `config` makes of it.

        Raises InputError for camera motion that has no inverse, and for frame numbers that are time stamps.
        """
        turned = self.backwards()._refined(config)
        there = self._refined(config)
        sure = consistent(there, self._turned(turned))
        table = mot_table(self.name, there)
        extra = np.where(sure[:, None], _COUNTS, _DOES_NOT_COUNT).astype(np.float64)
        # TrackEval asks for the path of a file that exists, and does not read it.
        table = replace(table, path=Path(__file__), extra=extra)
        truth = GroundTruth(self.name, self.length, "MOT17", table)
        return LabelledSequence(truth, self.detections, self.camera_motion, self.frame_rate, 1, self.length)

    def _refined(self, config: TrackerConfig) -> MotRows:
        rows = track_frames(
            config.build(self.frame_rate), self.detections, camera_motion=self.camera_motion, measured=True
        )
        try:
            return refine(rows, frame_rate=self.frame_rate, camera_motion=self.camera_motion)
        except ValueError as error:
            raise InputError(f"{self.name}: {error}") from None

    def _turned(self, rows: MotRows) -> MotRows:
        """Return `rows` with their frames counted from the other end."""
        turned = rows._replace(frames=self.length + 1 - rows.frames)
        return turned.select(np.argsort(turned.frames, kind="stable"))


def read_footage(path: Path, frame_rate: float | None = None) -> tuple[Footage, str | None]:
    """Return the footage whose detections are in the MOT file at `path`, and a sentence if scores were percentages.

    If `path` is ``SEQUENCE/det/NAME.txt``, the camera motion is that of ``SEQUENCE/gmc.txt``, and `frame_rate` in Hz is
    by default that of ``SEQUENCE/seqinfo.ini``; without these the camera is still, and the rate 30 Hz. Raises
    InputError for a file that is missing or malformed.
    """
    detections, note = scored_detections(path)
    length = int(detections.frames.max(initial=0))
    folder = path.absolute().parent.parent if path.absolute().parent.name == "det" else None
    if frame_rate is None:
        has_rate = folder is not None and (folder / "seqinfo.ini").exists()
        frame_rate = read_frame_rate(folder / "seqinfo.ini") if folder and has_rate else USUAL_RATE_HZ
    motion = camera_motion_of(folder, length) if folder else None
    return Footage(str(path), length, frame_rate, detections, motion), note


def consistent(tracks: MotRows, others: MotRows) -> BoolArray:
    """Return for each of the rows (N,) of `tracks` whether its track is also one of `others`.

    Two tracks are the same if they have `SAME_TRACK_SHARE` of their boxes in common.
    """
    rows, columns = _common(tracks, others)
    pairs, common = np.unique(np.stack([tracks.ids[rows], others.ids[columns]]), axis=1, return_counts=True)
    # |A and B| / |A or B|
    either = _counts(tracks.ids, pairs[0]) + _counts(others.ids, pairs[1]) - common
    return np.isin(tracks.ids, pairs[0, common >= SAME_TRACK_SHARE * either])


def _counts(ids: IntArray, wanted: IntArray) -> IntArray:
    """Return how often each of the `wanted` (K,) occurs in `ids` (N,), in which all of them do."""
    known, counts = np.unique(ids, return_counts=True)
    return counts[np.searchsorted(known, wanted)]


def _common(tracks: MotRows, others: MotRows) -> tuple[IntArray, IntArray]:
    """Return the rows (K,) of `tracks` and of `others` that show the same box, each at most once."""
    rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for frame in np.intersect1d(tracks.frames, others.frames).tolist():
        start, end = np.searchsorted(tracks.frames, [frame, frame + 1])
        other_start, other_end = np.searchsorted(others.frames, [frame, frame + 1])
        overlap = box_iou(tracks.boxes[start:end], others.boxes[other_start:other_end])
        row, column = linear_sum_assignment(overlap, maximize=True)
        same = overlap[row, column] >= SAME_BOX_IOU
        rows.append(start + row[same])
        columns.append(other_start + column[same])
    return np.concatenate(rows), np.concatenate(columns)
