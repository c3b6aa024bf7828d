"""Labelled sequences with detections, in the MOTChallenge layout, and the run of a tracker on one of them.

A sequence has ``SEQ/gt/gt.txt``, ``SEQ/seqinfo.ini`` (seqLength, frameRate), detections, and, if the camera moves,
``SEQ/gmc.txt``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streamdet.errors import InputError
from streamdet.evaluate.sequences import (
    GroundTruth,
    Half,
    MotSequence,
    half_window,
    read_ground_truth,
    sequence_folders,
    sequence_property,
)
from trackers.config import TrackerConfig
from trackers.mot import MotRows, MotTable, read_camera_motion, read_detections, with_unit_scores
from trackers.offline import track_frames
from trackers.types import FloatArray


@dataclass(frozen=True, slots=True)
class LabelledSequence:
    """The frames `first` to `last`, or every `step`-th of them, of a sequence with labels and detections.

    `camera_motion` f64 (F, 2, 3) is what `trackers.mot.read_camera_motion` returns; `frame_rate` is in Hz. `note` says
    that the scores in the file of detections were percentages, None if they were not.
    """

    truth: GroundTruth
    detections: MotRows
    camera_motion: FloatArray | None
    frame_rate: float
    first: int
    last: int
    note: str | None = None
    step: int = 1

    @property
    def name(self) -> str:
        """The name of the sequence."""
        return self.truth.name

    @property
    def is_labelled(self) -> bool:
        """Whether there is ground truth in these frames."""
        return len(self.truth.boxes.window(self.first, self.last)) > 0

    @property
    def highest_score(self) -> float:
        """The highest score of a detection in the whole sequence, 0 without detections."""
        return float(self.detections.scores.max(initial=0))

    def half(self, half: Half) -> LabelledSequence:
        """Return this half of the whole sequence."""
        first, last = half_window(self.truth.length, half)
        return replace(self, first=first, last=last)

    def tracked(self, config: TrackerConfig) -> MotSequence:
        """Return the ground truth of these frames and the tracks of the tracker of `config`, renumbered from 1."""
        tracks = track_frames(
            config.build(self.frame_rate),
            self.detections,
            frames=range(self.first, self.last + 1, self.step),
            camera_motion=self.camera_motion,
        )
        return MotSequence(
            self.name,
            self.last - self.first + 1,
            self.truth.benchmark,
            self.truth.boxes.window(self.first, self.last),
            mot_table(self.name, tracks).window(self.first, self.last),
        )


def mot_table(name: str, tracks: MotRows) -> MotTable:
    """Return `tracks` as if they had been read from the MOT file of the sequence `name`."""
    boxes = np.hstack([tracks.boxes[:, :2], tracks.boxes[:, 2:] - tracks.boxes[:, :2]])
    lines, extra = np.arange(len(boxes)) + 1, np.zeros((len(boxes), 0))
    return MotTable(Path(f"{name}.txt"), lines, tracks.frames, tracks.ids, boxes, extra)


def read_labelled(
    ground_truth: Path, detections: str | None = None, names: Sequence[str] | None = None
) -> list[LabelledSequence]:
    """Return the whole sequences in the folder `ground_truth`, all or those in `names`.

    `detections` is a folder of ``SEQ.txt``, or the name of a file in every ``SEQ/det``; None is the only file there.
    Raises InputError when something is missing or malformed.
    """
    return [_read(folder, detections) for folder in sequence_folders(ground_truth, names)]


def _read(folder: Path, detections: str | None) -> LabelledSequence:
    truth = read_ground_truth(folder)
    path = detections_file(folder, detections)
    found, note = scored_detections(path)
    motion = camera_motion_of(folder, truth.length)
    return LabelledSequence(truth, found, motion, read_frame_rate(folder / "seqinfo.ini"), 1, truth.length, note)


def scored_detections(path: Path) -> tuple[MotRows, str | None]:
    """Return the detections in the MOT file at `path`, and a sentence if their scores were percentages, else None."""
    try:
        return with_unit_scores(read_detections(path), path)
    except ValueError as error:
        raise InputError(str(error)) from None


def camera_motion_of(folder: Path, length: int) -> FloatArray | None:
    """Return the camera motion of the sequence `folder` of `length` frames, None if it has no ``gmc.txt``."""
    path = folder / "gmc.txt"
    if not path.exists():
        return None
    try:
        motion = read_camera_motion(path)
    except ValueError as error:
        raise InputError(str(error)) from None
    if len(motion) < length:
        raise InputError(f"expected {length} frames of camera motion in {path}, found {len(motion)}")
    return motion


def detections_file(folder: Path, detections: str | None) -> Path:
    """Return the path of the detections of the sequence `folder`; raises InputError when there is none."""
    if detections is not None:
        place = Path(detections)
        path = place / f"{folder.name}.txt" if place.is_dir() else folder / "det" / detections
        if not path.is_file():
            raise InputError(f"expected the detections of sequence {folder.name} at {path}, found no such file")
        return path
    files = sorted((folder / "det").glob("*.txt"))
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise InputError(
            f"expected one file of detections in {folder / 'det'}, found {found}; choose with --detections"
        )
    return files[0]


def read_frame_rate(seqinfo: Path) -> float:
    """Return the frame rate in Hz in the file `seqinfo`; raises InputError when there is none."""
    found = sequence_property(seqinfo, "frameRate")
    try:
        rate_hz = float(found)
    except ValueError:
        rate_hz = np.nan
    if not 0 < rate_hz < np.inf:
        raise InputError(f"expected frameRate, frames per second, in {seqinfo}, found {found}")
    return rate_hz
