"""This package's trackers, as contestants."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tracking.sequences import Excerpt
from trackers.config import parse_config
from trackers.mot import MotRows
from trackers.offline import refine, track_frames

# What the papers set for detectors as sure of themselves as MOT17's YOLOX-X (ByteTrack, arXiv 2110.06864, section 4.1).
PAPER_THRESHOLDS = {"track_high_thresh": 0.6, "new_track_thresh": 0.7}
# The other trackers ship with their paper's thresholds, but StreamSort, whose thresholds follow the detector's scores.
OTHERWISE_BY_DEFAULT = ("botsort", "bytetrack")


@dataclass(frozen=True, slots=True)
class Ours:
    """The tracker called `name`, at its defaults or at the `paper` thresholds, its tracks raw or `refined`."""

    name: str
    paper: bool = False
    refined: bool = False

    @property
    def label(self) -> str:
        """What a table calls it."""
        thresholds = [thresholds_text(PAPER_THRESHOLDS)] if self.paper else []
        return " ".join([self.name, *thresholds, *["refined"] * self.refined])

    def track(self, excerpts: list[Excerpt]) -> list[MotRows]:
        """Return the tracks in each of `excerpts`; the frames that are not in it count as dropped."""
        return [self._track(excerpt) for excerpt in excerpts]

    def _track(self, excerpt: Excerpt) -> MotRows:
        half = excerpt.half
        thresholds = PAPER_THRESHOLDS if self.paper else {}
        tracker = parse_config({"tracker_type": self.name, **thresholds}).build(half.frame_rate)
        rows = track_frames(
            tracker,
            half.detections,
            frames=excerpt.frames.tolist(),
            camera_motion=half.camera_motion,
            measured=self.refined,
        )
        return refine(rows, frame_rate=half.frame_rate, camera_motion=half.camera_motion) if self.refined else rows

    def clock_command(self, detections: Path, frames: int) -> list[str]:
        """Return the command, run in the checkout, that times it, at its defaults, on `frames` of `detections`."""
        return [sys.executable, "-m", "benchmarks.tracking.clock", self.name, str(detections), str(frames)]


def variants(name: str) -> list[Ours]:
    """Return the tracker called `name` at its defaults and last, where they differ, at the paper's thresholds."""
    return [Ours(name), Ours(name, paper=True)] if name in OTHERWISE_BY_DEFAULT else [Ours(name)]


def thresholds_text(thresholds: Mapping[str, float]) -> str:
    """Return how a label names `thresholds`."""
    return "/".join(map(str, thresholds.values()))
