"""Against other implementations' output and against ground truth."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamdet.evaluate.mot import evaluate_mot
from trackers.botsort import BotSort, BotSortSettings
from trackers.bytetrack import ByteTrack, ByteTrackSettings
from trackers.cost import overlapping
from trackers.rows import FloatArray

SEQUENCES = ("MOT17-02", "MOT17-04", "MOT17-05", "MOT17-10")
PAPER = BotSortSettings(track_high_thresh=0.6, new_track_thresh=0.7, match_thresh=0.8, track_buffer_s=1.0)
# What ultralytics' files say.
PEER: dict[str, Any] = {"new_track_thresh": 0.25, "match_thresh": 0.8, "track_buffer_s": 1.0}


def rows_of(tracker: BotSort | ByteTrack, detections: FloatArray) -> FloatArray:
    """Return rows frame, id, x1, y1, x2, y2 for detections of rows frame, x1, y1, x2, y2, score, class."""
    rows = []
    for frame in range(int(detections[:, 0].max()) + 1):
        found = detections[detections[:, 0] == frame]
        tracks = tracker.update(found[:, 1:5], found[:, 5], found[:, 6])
        rows.append(np.column_stack([np.full(len(tracks.ids), frame), tracks.ids, tracks.boxes]))
    return np.concatenate(rows)


def agreement(ours: FloatArray, theirs: FloatArray) -> tuple[float, float]:
    """Return the share of their rows that a box of ours covers (IoU 0.8), and that keep their usual id of ours."""
    pairs: Counter[tuple[int, int]] = Counter()
    for frame in np.unique(theirs[:, 0]):
        mine, other = ours[ours[:, 0] == frame], theirs[theirs[:, 0] == frame]
        near = overlapping(mine[:, 2:6], other[:, 2:6])
        near = near.select(near.iou > 0.8)
        pairs.update(zip(other[near.columns, 1].astype(int), mine[near.rows, 1].astype(int), strict=True))
    usual: dict[int, int] = {}
    for (their_id, _), count in pairs.items():
        usual[their_id] = max(count, usual.get(their_id, 0))
    return pairs.total() / len(theirs), sum(usual.values()) / len(theirs)


@pytest.mark.parametrize(
    ("name", "tracker", "same_box", "same_id"),
    [
        ("one-by-one_botsort_gmcnone", BotSort(BotSortSettings(**PEER)), 1.0, 1.0),
        ("one-by-one_bytetrack", ByteTrack(ByteTrackSettings(**PEER)), 1.0, 1.0),
        ("plaza_botsort", BotSort(BotSortSettings(**PEER)), 0.99, 0.95),
        ("plaza_bytetrack", ByteTrack(ByteTrackSettings(**PEER)), 0.99, 0.95),
    ],
)
def test_agrees_with_ultralytics(
    data: Path, name: str, tracker: BotSort | ByteTrack, same_box: float, same_id: float
) -> None:
    """One person at a time: exactly. A crowded place: ids differ where two people hide each other."""
    clip = name.split("_")[0]
    ours = rows_of(tracker, np.load(data / "oracles" / "tracks" / f"{clip}_dets.npz")["det"])
    theirs = np.loadtxt(data / "oracles" / "tracks" / f"{name}.txt", delimiter=",")
    boxes, ids = agreement(ours, theirs)
    assert boxes >= same_box
    assert ids >= same_id
    assert len(ours) == pytest.approx(len(theirs), rel=0.01)
    assert len(np.unique(ours[:, 1])) == pytest.approx(len(np.unique(theirs[:, 1])), rel=0.1)


def track_second_half(folder: Path) -> FloatArray:
    """Return MOT rows, frames from 1, of the second half of a MOT17 sequence."""
    frame_rate, length = (
        int(re.search(rf"{key}=(\d+)", (folder / "seqinfo.ini").read_text())[1])  # type: ignore[index]
        for key in ("frameRate", "seqLength")
    )
    detections = np.loadtxt(folder / "det" / "yolox_x.txt", delimiter=",")
    motions = np.loadtxt(folder / "gmc.txt")[:, 1:].reshape(-1, 2, 3)
    tracker, rows = BotSort(PAPER, frame_rate=frame_rate), []
    first = length // 2 + 2
    for frame in range(first, length + 1):
        found = detections[detections[:, 0] == frame]
        boxes = np.hstack([found[:, 2:4], found[:, 2:4] + found[:, 4:6]])
        tracks = tracker.update(boxes, found[:, 6], np.zeros(len(found)), camera_motion=motions[frame - 1])
        size = tracks.boxes[:, 2:] - tracks.boxes[:, :2]
        constant = np.tile([1.0, -1, -1, -1], (len(size), 1))
        place = np.full(len(size), frame - first + 1), tracks.ids
        rows.append(np.column_stack([*place, tracks.boxes[:, :2], size, constant]))
    return np.concatenate(rows)


def test_reaches_the_accuracy_of_the_paper_on_mot17(data: Path, tmp_path: Path) -> None:
    """Second halves, YOLOX-X detections; a plain core reaches HOTA 68.80 there, and this one 69.05."""
    for name in SEQUENCES:
        rows = track_second_half(data / "mot" / "MOT17" / name)
        np.savetxt(tmp_path / f"{name}.txt", rows, fmt="%g", delimiter=",")
    scores = evaluate_mot(data / "mot" / "MOT17", tmp_path, half="val", sequences=SEQUENCES).combined
    assert scores.hota >= 68.9
    assert scores.mota >= 78.5
    assert scores.idf1 >= 80.8
    assert scores.id_switches <= 125
