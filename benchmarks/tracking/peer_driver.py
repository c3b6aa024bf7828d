"""Runs a peer's tracker over the detections of sequences, with the python of the peer's environment.

    python -P peer_driver.py PEER_SCRIPT NAME OPTIONS_JSON FOLDER [--mot17]

A sequence is a SEQ.npz in FOLDER: `det`, rows t, x1, y1, x2, y2, score, class; `motion` (K, 2, 3), the camera's motion
in px into each of the K frames; `rate` of these frames in Hz. The tracks go to SEQ.npy, rows t, x1, y1, x2, y2, id.
With --mot17 the options are BoxMOT's own for MOT17. The driver imports nothing of this project.
"""

from __future__ import annotations

import inspect
import json
import runpy
import sys
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Update = Callable[[Array], Array]
BOXMOT_MOT17 = "configs/trackers/presets/botsort-mot17-ablation.yaml"


class GivenMotion:
    """Replaces a peer's own estimate of the camera's motion."""

    now: Array
    method = "given"  # ultralytics asks for it

    def apply(self, image: Array, detections: Array | None = None) -> Array:
        """Return the motion into the current frame."""
        return self.now


def boxmot_options(rate_hz: float) -> dict[str, Any]:
    """Return BoxMOT's own settings for MOT17, at another frame rate."""
    import yaml  # a dependency of BoxMOT

    preset = yaml.safe_load(resources.files("boxmot").joinpath(BOXMOT_MOT17).read_text(encoding="utf-8"))
    set_by_script = ("tracker", "use_cmc", "use_embeddings")
    return {key: value for key, value in preset.items() if key not in set_by_script} | {
        "frame_rate": max(1, round(rate_hz))
    }


def give_motion(update: Update) -> GivenMotion:
    """Return what the peer's tracker takes the camera's motion from, from now on, if it uses any."""
    given = GivenMotion()
    # The script returns only the tracker's `update`, which takes no camera motion.
    tracker = inspect.getclosurevars(update).nonlocals["tracker"]
    for name in ("cmc", "gmc"):  # BoxMOT's and ultralytics' names
        if hasattr(tracker, name):
            setattr(tracker, name, given)
    return given


def run_tracker(update: Update, det: Array, motion: Array, given: GivenMotion) -> Array:
    """Return rows t, x1, y1, x2, y2, id (N, 6)."""
    rows = [np.zeros((0, 6))]
    for t, given.now in enumerate(motion):
        tracks = update(det[det[:, 0] == t][:, 1:].astype(np.float32))
        rows.append(np.column_stack([np.full(len(tracks), t), tracks]))
    return np.concatenate(rows)


def main() -> None:
    script, name, options, folder, *preset = sys.argv[1:]
    make: Callable[..., Update] = runpy.run_path(script)["make"]
    for path in sorted(Path(folder).glob("*.npz")):
        sequence: Mapping[str, Array] = np.load(path)
        settings = boxmot_options(float(sequence["rate"])) if preset else json.loads(options)
        update = make(name, **settings)
        np.save(path.with_suffix(".npy"), run_tracker(update, sequence["det"], sequence["motion"], give_motion(update)))


if __name__ == "__main__":
    main()
