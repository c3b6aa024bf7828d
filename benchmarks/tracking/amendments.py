"""How many of the tracker's amendments are right, and how many of the ids that broke they mend.

An id belongs to the object, in the ground truth, that it overlaps most often: in its last `NEAREST` frames before an
amendment ends it, and in its first ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.tracking.sequences import ALL_FRAMES, Excerpt, SequenceSet, excerpts
from trackers.assignment import assign
from trackers.association import overlapping
from trackers.config import DEFAULT_TRACKER, read_config
from trackers.types import FloatArray, IntArray

LEAST_IOU = 0.5
NEAREST = 10  # frames
REACH_S = 1.5  # over which an id that broke could be mended: a lost track is kept as long


class Counts(NamedTuple):
    """Amendments that are right, wrong and not judged, for an object without ground truth; ids that `broke`."""

    right: int
    wrong: int
    unjudged: int
    broke: int


def amended(sets: Mapping[str, SequenceSet]) -> Table:
    """Return a table of the amendments of the default tracker on `sets`."""
    table = Table("", "right", "wrong", "not judged", "precision", "ids that broke", "recall", box=SIMPLE_HEAD)
    table.title = "Amendments"
    with ProcessPoolExecutor() as pool:
        for name, found in zip(sets, pool.map(_counts, sets.values()), strict=True):
            right, wrong, unjudged, broke = found
            precision, recall = (f"{right / max(total, 1):.2f}" for total in (right + wrong, broke))
            table.add_row(name, str(right), str(wrong), str(unjudged), precision, str(broke), recall)
    return table


def _counts(source: SequenceSet) -> Counts:
    return Counts(*map(sum, zip(*map(_judged, excerpts(source, ALL_FRAMES)), strict=True)))


def _judged(excerpt: Excerpt) -> Counts:
    """Return the counts of one sequence."""
    part, (frames, things, corners) = excerpt.part, truth_rows(excerpt)
    tracker = read_config(DEFAULT_TRACKER).build(part.frame_rate)
    objects: dict[int, list[tuple[int, int]]] = {}  # by id: the frames in which it overlaps an object, and which
    verdicts: Counter[bool | None] = Counter()
    for frame, motion in zip(excerpt.frames.tolist(), excerpt.camera_motion, strict=True):
        _, _, boxes, scores, class_ids = part.detections.select(part.detections.frames == frame)
        tracks = tracker.update(boxes, scores, class_ids, camera_motion=motion)
        seen, here = tracks.detection_index >= 0, frames == frame
        for track_id, thing in matches(tracks.ids[seen], tracks.boxes[seen], things[here], corners[here]):
            objects.setdefault(track_id, []).append((frame, thing))
        for before, after in (amendment.ids for amendment in tracks.amendments):
            old, new = usual(objects.get(before, [])[-NEAREST:]), usual(objects.get(after, [])[:NEAREST])
            verdicts[None if old is None or new is None else old == new] += 1
    reach = REACH_S * part.frame_rate
    broke = sum(_broke(track_id, objects, reach) for track_id in objects)
    return Counts(verdicts[True], verdicts[False], verdicts[None], broke)


def truth_rows(excerpt: Excerpt) -> tuple[IntArray, IntArray, FloatArray]:
    """Return frames, ids and boxes (N, 4) x1, y1, x2, y2 of the objects that count."""
    truth = excerpt.part.truth.boxes
    counts = truth.extra[:, 0] > 0
    corner, size = truth.boxes[counts, :2], truth.boxes[counts, 2:]
    return truth.frames[counts], truth.ids[counts], np.hstack([corner, corner + size])


def matches(ids: IntArray, boxes: FloatArray, objects: IntArray, truth: FloatArray) -> list[tuple[int, int]]:
    """Return pairs of an id and the object that its box covers."""
    pairs = overlapping(boxes, truth)
    pairs = pairs.select(pairs.iou > LEAST_IOU)
    if not len(pairs.rows):
        return []
    chosen = assign(pairs.rows, pairs.columns, 1 - pairs.iou, 1 - LEAST_IOU)
    return [*zip(ids[pairs.rows[chosen]].tolist(), objects[pairs.columns[chosen]].tolist(), strict=True)]


def usual(seen: list[tuple[int, int]]) -> int | None:
    return Counter(thing for _, thing in seen).most_common(1)[0][0] if seen else None


def _broke(track_id: int, objects: Mapping[int, list[tuple[int, int]]], reach: float) -> bool:
    """Return whether another id ended on the object of `track_id` at most `reach` frames before it began."""
    own, begun = usual(objects[track_id][:NEAREST]), objects[track_id][0][0]
    for other, seen in objects.items():
        earlier = [item for item in seen if item[0] < begun] if other != track_id else []
        if earlier and begun - earlier[-1][0] <= reach and usual(earlier[-NEAREST:]) == own:
            return True
    return False
