"""The trackers of this project as contestants."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tracking.sequences import Excerpt
from trackers.config import parse_config
from trackers.mot import MotRows
from trackers.offline import refine, track_frames

# The papers' thresholds for detectors with high scores, as MOT17's YOLOX-X (ByteTrack, arXiv 2110.06864, section 4.1).
PAPER_THRESHOLDS = {"track_high_thresh": 0.6, "new_track_thresh": 0.7}
# Trackers with other defaults. The others have their paper's thresholds; StreamSort's are relative to the scores.
OTHERWISE_BY_DEFAULT = ("botsort", "bytetrack")


@dataclass(frozen=True, slots=True)
class Ours:
    """The tracker called `name`, at its defaults or at the `paper` thresholds, its tracks raw or `refined`."""

    name: str
    paper: bool = False
    refined: bool = False

    @property
    def label(self) -> str:
        """The name in tables."""
        thresholds = [thresholds_text(PAPER_THRESHOLDS)] if self.paper else []
        return " ".join([self.name, *thresholds, *["refined"] * self.refined])

    def track(self, excerpts: list[Excerpt]) -> list[MotRows]:
        """Return the tracks in each of `excerpts`; frames outside an excerpt count as dropped."""
        return [self._track(excerpt) for excerpt in excerpts]

    def _track(self, excerpt: Excerpt) -> MotRows:
        part = excerpt.part
        thresholds = PAPER_THRESHOLDS if self.paper else {}
        tracker = parse_config({"tracker_type": self.name, **thresholds}).build(part.frame_rate)
        rows = track_frames(
            tracker,
            part.detections,
            frames=excerpt.frames.tolist(),
            camera_motion=part.camera_motion,
            measured=self.refined,
        )
        return refine(rows, frame_rate=part.frame_rate, camera_motion=part.camera_motion) if self.refined else rows

    def clock_command(self, detections: Path, frames: int) -> list[str]:
        """Return the command, run in the checkout, that times the tracker with its defaults on `frames` frames."""
        return [sys.executable, "-m", "benchmarks.tracking.clock", self.name, str(detections), str(frames)]


def variants(name: str) -> list[Ours]:
    """Return the tracker called `name` at its defaults and, where they differ, last at the paper's thresholds."""
    return [Ours(name), Ours(name, paper=True)] if name in OTHERWISE_BY_DEFAULT else [Ours(name)]


def thresholds_text(thresholds: Mapping[str, float]) -> str:
    """Return `thresholds` as text for a label."""
    return "/".join(map(str, thresholds.values()))
