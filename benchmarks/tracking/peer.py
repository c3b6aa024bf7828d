"""Trackers of other projects as contestants, each run in a separate environment, since import names collide."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.tracking.ours import PAPER_THRESHOLDS, thresholds_text
from benchmarks.tracking.process import run_command
from benchmarks.tracking.sequences import Excerpt
from trackers.mot import MotRows

# The paper's thresholds under the peers' names for them.
OPTIONS: dict[str, Mapping[str, float]] = {
    "ultra_byte": PAPER_THRESHOLDS,
    "ultra_bot": PAPER_THRESHOLDS,
    "pyx_byte": {"track_thresh": 0.6},
}
BOXMOT_MOT17 = "boxmot_bot"  # which has settings for MOT17, that the driver reads
DRIVER = Path(__file__).with_name("peer_driver.py")


@dataclass(frozen=True, slots=True)
class Peer:
    """The tracker that `script` calls `name`, run by the `python` of its environment.

    It runs at its defaults, or with `paper` as on MOT17. Trackers that use the camera motion are given it.
    """

    name: str
    python: Path
    script: Path
    paper: bool = False

    @property
    def label(self) -> str:
        """The name in tables."""
        if self.paper and self.name == BOXMOT_MOT17:
            return f"{self.name} MOT17"
        return f"{self.name} {thresholds_text(self._options)}".strip()

    @property
    def _options(self) -> Mapping[str, float]:
        return OPTIONS.get(self.name, {}) if self.paper else {}

    def track(self, excerpts: list[Excerpt]) -> list[MotRows]:
        """Return the tracks in each of `excerpts`; the peer gets its frames as a whole sequence."""
        with TemporaryDirectory() as folder:
            for excerpt in excerpts:
                _write(Path(folder, f"{excerpt.part.name}.npz"), excerpt)
            # -P: the peer must not import modules of this project that have the names of its own.
            driver = [str(self.python), "-P", str(DRIVER), str(self.script)]
            preset = ["--mot17"] if self.paper and self.name == BOXMOT_MOT17 else []
            run_command([*driver, self.name, json.dumps(self._options), folder, *preset])
            return [_read(Path(folder, f"{excerpt.part.name}.npy"), excerpt) for excerpt in excerpts]

    def clock_command(self, detections: Path, frames: int) -> list[str]:
        """Return the command that times the peer at its defaults on `frames` of `detections`."""
        return [str(self.python), str(self.script), self.name, str(detections), "--frames", str(frames)]


def _write(path: Path, excerpt: Excerpt) -> None:
    """Write the input of the driver."""
    rows = excerpt.detections
    np.savez(
        path,
        det=np.column_stack([rows.frames - 1, rows.boxes, rows.scores, rows.class_ids]),
        motion=excerpt.camera_motion,
        rate=excerpt.rate_hz,
    )


def _read(path: Path, excerpt: Excerpt) -> MotRows:
    """Return the tracks that the driver wrote, with the frame numbers of the whole sequence."""
    tracks = np.load(path)
    place, ids = tracks[:, 0].astype(np.int64), tracks[:, 5].astype(np.int64)
    return MotRows(excerpt.frames[place], ids, tracks[:, 1:5], np.ones(len(ids)), np.zeros_like(ids))


def peer_variants(peer: Peer) -> list[Peer]:
    """Return `peer` at its defaults and, where they differ, last with its settings for MOT17."""
    differ = peer.name in OPTIONS or peer.name == BOXMOT_MOT17
    return [peer, replace(peer, paper=True)] if differ else [peer]
