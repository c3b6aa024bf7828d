"""Other projects' trackers, as contestants: each runs in an environment of its own, since import names collide."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.tracking.ours import PAPER_THRESHOLDS, thresholds_text
from benchmarks.tracking.process import output_of
from benchmarks.tracking.sequences import Excerpt
from trackers.mot import MotRows

# The paper's thresholds in the peers' words. A peer that is not named here runs at its defaults, but boxmot_bot with
# its own settings for MOT17, which the driver reads, and with the camera motion given.
OPTIONS: dict[str, Mapping[str, float]] = {
    "ultra_byte": PAPER_THRESHOLDS,
    "ultra_bot": PAPER_THRESHOLDS,
    "pyx_byte": {"track_thresh": 0.6},
}
DRIVER = Path(__file__).with_name("peer_driver.py")


@dataclass(frozen=True, slots=True)
class Peer:
    """The tracker that `script` calls `name`, run by the `python` of its environment."""

    name: str
    python: Path
    script: Path

    @property
    def label(self) -> str:
        """What a table calls it."""
        if self.name == "boxmot_bot":
            return f"{self.name} gmc.txt"
        return f"{self.name} {thresholds_text(self._options)}".strip()

    @property
    def _options(self) -> Mapping[str, float]:
        return OPTIONS.get(self.name, {})

    def track(self, excerpts: list[Excerpt]) -> list[MotRows]:
        """Return the tracks in each of `excerpts`, whose frames the peer takes for all there are."""
        with TemporaryDirectory() as folder:
            for excerpt in excerpts:
                _write(Path(folder, f"{excerpt.half.name}.npz"), excerpt)
            # -P: a peer must not find our modules, whose names may be its own.
            driver = [str(self.python), "-P", str(DRIVER), str(self.script)]
            output_of([*driver, self.name, json.dumps(self._options), folder])
            return [_read(Path(folder, f"{excerpt.half.name}.npy"), excerpt) for excerpt in excerpts]

    def clock_command(self, detections: Path, frames: int) -> list[str]:
        """Return the command that times it, at its defaults, on `frames` of `detections`."""
        return [str(self.python), str(self.script), self.name, str(detections), "--frames", str(frames)]


def _write(path: Path, excerpt: Excerpt) -> None:
    """Write what the driver reads."""
    rows = excerpt.detections
    np.savez(
        path,
        det=np.column_stack([rows.frames - 1, rows.boxes, rows.scores, rows.class_ids]),
        motion=excerpt.camera_motion,
        rate=excerpt.rate_hz,
    )


def _read(path: Path, excerpt: Excerpt) -> MotRows:
    """Return the tracks that the driver wrote, under the numbers of their frames in the whole sequence."""
    tracks = np.load(path)
    place, ids = tracks[:, 0].astype(np.int64), tracks[:, 5].astype(np.int64)
    return MotRows(excerpt.frames[place], ids, tracks[:, 1:5], np.ones(len(ids)), np.zeros_like(ids))
