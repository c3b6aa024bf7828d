"""Sets of labelled sequences, and excerpts of them for tests with dropped frames.

MOT17's detector was trained on the first halves, so that only the second halves are used (ByteTrack, arXiv 2110.06864,
section 4.1).
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from streamdet.evaluate.sequences import MotSequence
from streamdet.tune.sequences import LabelledSequence, mot_table, read_labelled
from trackers.mot import MotRows, MotTable
from trackers.offline import composed
from trackers.types import BoolArray, FloatArray, IntArray

SEQUENCES = ("MOT17-02", "MOT17-04", "MOT17-05", "MOT17-10")
ALL_FRAMES = "all"
# Functions from the length of a sequence and its name to the frames that are kept, bool (length,).
KEPT: dict[str, Callable[[int, str], BoolArray]] = {
    ALL_FRAMES: lambda length, _: np.ones(length, bool),
    "50 % at random": lambda length, name: np.r_[True, _random_of(name).random(length)[1:] >= 0.5],
    "every 3rd": lambda length, _: np.arange(length) % 3 == 0,
    "every 6th": lambda length, _: np.arange(length) % 6 == 0,
}


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """All sequences in `folder` with the `detections`, which is a file in each ``SEQ/det`` or a folder of ``SEQ.txt``.

    With `second_halves` only those; without `camera_motion` none is given. `frame_rate` in Hz replaces that of
    ``seqinfo.ini``. `drop_ignored` is a script whose ``kept(sequence_folder, rows)`` leaves out of tracks in MOT's
    columns what the ground truth does not judge.
    """

    folder: Path
    detections: str
    names: tuple[str, ...] | None = None
    second_halves: bool = False
    camera_motion: bool = True
    frame_rate: float | None = None
    drop_ignored: Path | None = None


MOT17 = "MOT17"
VTEST = "vtest"


def sequence_sets(data: Path, drop_ignored: Path, vtest: Path) -> dict[str, SequenceSet]:
    """Return the sets in the folder `data` by name; `vtest` is a folder with the stored detections of ``vtest.avi``."""
    mot = data / "mot"
    mot17 = SequenceSet(mot / "MOT17", "yolox_x.txt", SEQUENCES, second_halves=True)
    kitti = {
        f"KITTI {name}": SequenceSet(mot / "KITTI-Car", f"{name.lower()}.txt", drop_ignored=drop_ignored)
        for name in ("YOLOX", "YOLOv3", "RRC")
    }
    return {
        MOT17: mot17,
        f"{MOT17}, no camera motion": replace(mot17, camera_motion=False),
        **kitti,
        "SportsMOT": SequenceSet(mot / "SportsMOT", "sim.txt"),
        VTEST: SequenceSet(mot / "MOT15", str(vtest), ("PETS09-S2L1",), frame_rate=10.0),
    }


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The kept `frames` i64 (K,) of a part of a sequence of `source`, ascending, numbered as in the whole sequence."""

    source: SequenceSet
    part: LabelledSequence
    frames: IntArray

    @property
    def rate_hz(self) -> float:
        """The mean rate of these frames."""
        return self.part.frame_rate * len(self.frames) / (self.part.last - self.part.first + 1)

    @property
    def detections(self) -> MotRows:
        """The detections in these frames, renumbered from 1."""
        rows = self.part.detections
        kept = rows.select(np.isin(rows.frames, self.frames))
        return kept._replace(frames=self._renumbered(kept.frames))

    @property
    def camera_motion(self) -> FloatArray:
        """The motion (K, 2, 3) in px into each of these frames from the previous one of them."""
        steps, still = self.part.camera_motion, np.eye(2, 3)
        if steps is None:
            return np.stack([still] * len(self.frames))
        return np.stack([still, *(composed(steps[start:end]) for start, end in pairwise(self.frames))])

    def with_tracks(self, tracks: MotRows) -> MotSequence:
        """Return ground truth and `tracks` as if the sequence had no frames but these, renumbered from 1."""
        found, truth = self._judged(mot_table(self.part.name, tracks)), self.part.truth
        return MotSequence(truth.name, len(self.frames), truth.benchmark, self._kept(truth.boxes), self._kept(found))

    def _judged(self, tracks: MotTable) -> MotTable:
        """Return the rows of `tracks` that the ground truth judges."""
        script = self.source.drop_ignored
        if script is None:
            return tracks
        numbered = np.column_stack([tracks.frames, tracks.ids, tracks.boxes, np.arange(len(tracks))])
        kept = runpy.run_path(str(script))["kept"](self.source.folder / self.part.name, numbered)
        return tracks.select(kept[:, -1].astype(np.int64))

    def _kept(self, table: MotTable) -> MotTable:
        kept = table.select(np.isin(table.frames, self.frames))
        return replace(kept, frames=self._renumbered(kept.frames))

    def _renumbered(self, frames: IntArray) -> IntArray:
        return np.searchsorted(self.frames, frames) + 1


def excerpts(source: SequenceSet, rule: str) -> list[Excerpt]:
    """Return the frames that a `rule` of `KEPT` keeps of each sequence of `source`."""
    return [Excerpt(source, part, part.first + np.flatnonzero(_kept_by(rule, part))) for part in _parts(source)]


def _kept_by(rule: str, part: LabelledSequence) -> BoolArray:
    return KEPT[rule](part.last - part.first + 1, part.name)


def _random_of(name: str) -> np.random.Generator:
    """Return the generator of the sequence `name`, whose seed is its number."""
    return np.random.default_rng(int(name.rpartition("-")[2]))


@cache
def _parts(source: SequenceSet) -> list[LabelledSequence]:
    """Return what is scored of the sequences of `source`."""
    whole = read_labelled(source.folder, source.detections, source.names)
    parts = [sequence.half("val") for sequence in whole] if source.second_halves else whole
    if not source.camera_motion:
        parts = [replace(part, camera_motion=None) for part in parts]
    if source.frame_rate is not None:
        parts = [replace(part, frame_rate=source.frame_rate) for part in parts]
    return parts
