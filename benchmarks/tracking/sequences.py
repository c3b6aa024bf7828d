"""Second halves of MOT17 sequences, and excerpts of them for tests with dropped frames.

The detector was trained on the first halves, so that only the second halves are used (ByteTrack, arXiv 2110.06864,
section 4.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
DETECTIONS = "yolox_x.txt"
ALL_FRAMES = "all"
# Functions from the length of a half and the number of its sequence to the frames that are kept, bool (length,).
KEPT: dict[str, Callable[[int, int], BoolArray]] = {
    ALL_FRAMES: lambda length, _: np.ones(length, bool),
    "50 % at random": lambda length, number: np.r_[True, np.random.default_rng(number).random(length)[1:] >= 0.5],
    "every 3rd": lambda length, _: np.arange(length) % 3 == 0,
    "every 6th": lambda length, _: np.arange(length) % 6 == 0,
}


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The kept `frames` i64 (K,) of a half, ascending, with their numbers in the whole sequence."""

    half: LabelledSequence
    frames: IntArray

    @property
    def rate_hz(self) -> float:
        """The mean rate of these frames."""
        return self.half.frame_rate * len(self.frames) / (self.half.last - self.half.first + 1)

    @property
    def detections(self) -> MotRows:
        """The detections in these frames, renumbered from 1."""
        rows = self.half.detections
        kept = rows.select(np.isin(rows.frames, self.frames))
        return kept._replace(frames=self._renumbered(kept.frames))

    @property
    def camera_motion(self) -> FloatArray:
        """The motion (K, 2, 3) in px into each of these frames from the previous one of them."""
        steps, still = self.half.camera_motion, np.eye(2, 3)
        if steps is None:
            return np.stack([still] * len(self.frames))
        return np.stack([still, *(composed(steps[start:end]) for start, end in pairwise(self.frames))])

    def with_tracks(self, tracks: MotRows) -> MotSequence:
        """Return ground truth and `tracks` as if the sequence had no frames but these, renumbered from 1."""
        found, truth = mot_table(self.half.name, tracks), self.half.truth
        return MotSequence(truth.name, len(self.frames), truth.benchmark, self._kept(truth.boxes), self._kept(found))

    def _kept(self, table: MotTable) -> MotTable:
        rows = np.isin(table.frames, self.frames)
        frames = self._renumbered(table.frames[rows])
        return MotTable(table.path, table.lines[rows], frames, table.ids[rows], table.boxes[rows], table.extra[rows])

    def _renumbered(self, frames: IntArray) -> IntArray:
        return np.searchsorted(self.frames, frames) + 1


def excerpts(mot: Path, rule: str) -> list[Excerpt]:
    """Return the frames that a `rule` of `KEPT` keeps of each second half in the folder `mot`."""
    return [Excerpt(half, half.first + np.flatnonzero(_kept_by(rule, half))) for half in _second_halves(mot)]


def _kept_by(rule: str, half: LabelledSequence) -> BoolArray:
    return KEPT[rule](half.last - half.first + 1, int(half.name.rpartition("-")[2]))


@cache
def _second_halves(mot: Path) -> list[LabelledSequence]:
    return [sequence.half("val") for sequence in read_labelled(mot, DETECTIONS, SEQUENCES)]
