"""The detections of `vtest.avi`, the footage of PETS09-S2L1, by YOLOv8n: made once and stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import streamdet

FILE = "PETS09-S2L1.txt"


def store_detections(data: Path, folder: Path) -> None:
    """Store the detections of persons in `folder`, in MOT's columns, unless they are there."""
    path = folder / FILE
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    video, weights = data / "videos" / "vtest.avi", data / "weights" / "yolov8n.pt"
    rows = [np.zeros((0, 7))]
    for result in streamdet.track(video, model=weights, classes=["person"], device="cpu"):
        found = result.detections
        size = found.boxes[:, 2:] - found.boxes[:, :2]
        number = np.full(len(size), result.frame.index + 1)
        rows.append(np.column_stack([number, -np.ones(len(size)), found.boxes[:, :2], size, found.scores]))
    np.savetxt(path, np.concatenate(rows), delimiter=",", fmt=["%d", "%d", *["%.4f"] * 5])
