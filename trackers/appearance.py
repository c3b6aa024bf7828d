"""The appearance of tracks over their time: a bounded sample of each, and where a track went over to another object.

That a track is split first, and connected with others by its appearance then, follows Sun et al., GTA: Global tracklet
association for multi-object tracking in sports, arXiv 2411.08216; here an object follows another at one moment, so that
the two clusters of a track are those before and after the best cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from trackers.mot import MotRows
from trackers.types import BoolArray, FloatArray, IntArray, unit

Feature = npt.NDArray[np.floating[Any]]

MOST_SAMPLES = 64  # of a track; beyond it every second one is forgotten
FEWEST_SAMPLES = 4  # before and after a cut, and of tracks that are compared
LEAST_CHANGE = 0.3  # cosine distance of the mean appearances before and after a cut


@dataclass(slots=True)
class Sample:
    """Appearances of one track, evenly spread over its time: `frames` ascending, unit `features` (D,) of each."""

    frames: list[int] = field(default_factory=list)
    features: list[Feature] = field(default_factory=list)
    every: int = 1
    seen: int = 0

    def add(self, frame: int, feature: Feature) -> None:
        """Keep the feature, or one of every so many where `MOST_SAMPLES` are not enough for all."""
        if self.seen % self.every == 0:
            self.frames.append(frame)
            self.features.append(feature)
        self.seen += 1
        if len(self.frames) > MOST_SAMPLES:
            self.frames, self.features, self.every = self.frames[::2], self.features[::2], 2 * self.every

    def parts(self) -> list[Sample]:
        """Return the sample, cut where another appearance begins."""
        cuts = [0, *_changes(np.array(self.features)), len(self.frames)]
        return [Sample(self.frames[a:b], self.features[a:b]) for a, b in pairwise(cuts)]


@dataclass(slots=True)
class AppearanceSamples:
    """The `samples` of tracks by id."""

    samples: dict[int, Sample] = field(default_factory=dict)

    def add(self, frame: int, ids: IntArray, features: Iterable[Feature | None]) -> None:
        """Add the unit `features` (D,) of tracks `ids` (K,) in a frame after all others; None or zero: not known."""
        for track_id, feature in zip(ids.tolist(), features, strict=True):
            if feature is not None and feature.any():
                self.samples.setdefault(track_id, Sample()).add(frame, feature)

    def within(self, track_id: int, first: int, last: int) -> list[Feature]:
        """Return the features (D,) of a track from frame `first` to `last`."""
        sample = self.samples.get(track_id, Sample())
        return [
            feature for frame, feature in zip(sample.frames, sample.features, strict=True) if first <= frame <= last
        ]

    def split(self, rows: MotRows) -> tuple[MotRows, AppearanceSamples]:
        """Return the tracks `rows`, each as several where its appearance changes for good, and the samples of all."""
        free, ids, parts = count(int(rows.ids.max(initial=0)) + 1), rows.ids.copy(), AppearanceSamples()
        for track_id, sample in self.samples.items():
            parts.samples[track_id], *others = sample.parts()
            for part in others:
                number = next(free)
                ids[(rows.ids == track_id) & (rows.frames >= part.frames[0])] = number
                parts.samples[number] = part
        return rows._replace(ids=ids), parts


def mean_features(samples: Sequence[Sequence[Feature]]) -> FloatArray:
    """Return the mean (N, D) of each of `samples`, zero where fewer than `FEWEST_SAMPLES` features are known."""
    width = max((len(feature) for sample in samples for feature in sample[:1]), default=0)
    means = np.zeros((len(samples), width))
    for row, sample in enumerate(samples):
        if len(sample) >= FEWEST_SAMPLES:
            means[row] = np.mean(sample, axis=0)
    return means


def unlike(feature: FloatArray, others: FloatArray) -> BoolArray:
    """Return which of the mean features `others` (K, D) are known to be of another object than `feature` (D,)."""
    similarity = unit(others) @ unit(feature[None])[0]
    apart: BoolArray = (similarity < 1 - LEAST_CHANGE) & others.any(axis=1) & feature.any()
    return apart


def _changes(features: FloatArray) -> list[int]:
    """Return the indices of `features` (K, D), ascending in time, at which another appearance begins."""
    middle = np.arange(FEWEST_SAMPLES, len(features) - FEWEST_SAMPLES + 1)
    if not len(middle):
        return []
    sums = np.cumsum(features, axis=0)
    before, after = sums[middle - 1], sums[-1] - sums[middle - 1]
    # d = 1 - cos(m, m') of the mean features of both sides; the best cut of n features at k has the largest k (n - k) d
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    change = 1 - np.einsum("kd,kd->k", before, after) / np.maximum(norms, np.finfo(np.float64).tiny)
    best = int((middle * (len(features) - middle) * change).argmax())
    if change[best] < LEAST_CHANGE:
        return []
    at = int(middle[best])
    return [*_changes(features[:at]), at, *(at + later for later in _changes(features[at:]))]
