"""How many of the swaps that appearance shows are right, and how many of all swaps it shows.

With the features of OSNet, StreamSort swaps nobody on `vtest.avi`. So the objects are made to turn round: at each
crossing of two of them, in a run of its own, both go on from the moment when they overlap most with the identity and
the looks of the other one, as they are in that frame. A tracker that takes them for two who pass has then swapped their
ids, unless it follows the looks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

import streamdet
from benchmarks.tracking.amendments import NEAREST, matches, truth_rows, usual
from benchmarks.tracking.sequences import ALL_FRAMES, Excerpt, SequenceSet, excerpts
from streamdet.appearance import AppearanceModel
from trackers.association import overlapping
from trackers.config import DEFAULT_TRACKER, read_config
from trackers.mot import MotRows
from trackers.types import Amendment, FloatArray

RULES = (ALL_FRAMES, "every 3rd", "every 6th")
LOST = (0.0, 0.3)  # shares of the detections that are left out
CROSSING_IOU = 0.2  # from which on two objects cross
APART_S = 1.0  # between two crossings of the same objects
SWAP_S = 3.0  # within which both ids of a swap change
SURE = 3  # boxes of an object before and after its id has changed, all with one id
Seen = dict[int, list[tuple[int, int]]]  # by id: the frames in which it is on an object, and which


class Looks(NamedTuple):
    """Boxes with what they look like: detections, whose ids are those of the objects, -1 for none; or the truth."""

    rows: MotRows
    features: FloatArray


class Crossing(NamedTuple):
    """Two objects, and the frame in which they overlap most."""

    objects: tuple[int, int]
    frame: int


def swapped(source: SequenceSet, video: Path, reid: Path) -> Table:
    """Return a table of the swaps that the default tracker tells on `source`, the `video`, with the model `reid`."""
    (whole,) = excerpts(source, ALL_FRAMES)
    detections, truth = _looks(whole, video, AppearanceModel(reid))
    crossings: list[Crossing | None] = [*_crossings(truth.rows, round(APART_S * whole.part.frame_rate))]
    table = Table("", "swaps", "right", "wrong", "not judged", "precision", "recall", box=SIMPLE_HEAD)
    table.title = f"Swaps told by appearance, {len(crossings)} crossings"
    with ProcessPoolExecutor() as pool:
        cases = [(rule, lost, turns) for turns, rule, lost in product((False, True), RULES, LOST)]
        runs = [
            pool.submit(_counts, source, rule, detections, truth, lost, crossings if turns else [None])
            for rule, lost, turns in cases
        ]
        for (rule, lost, turns), run in zip(cases, runs, strict=True):
            counts = run.result()
            right, wrong, swaps = counts["right"], counts["wrong"], counts["swaps"]
            name = ", ".join([rule, *[f"{lost:.0%} lost"] * (lost > 0), "turned" if turns else "as filmed"])
            shares = (f"{a / b:.2f}" if b else "" for a, b in ((right, right + wrong), (counts["found"], swaps)))
            table.add_row(name, *map(str, (swaps, right, wrong, counts["not judged"])), *shares)
    return table


def _looks(excerpt: Excerpt, video: Path, model: AppearanceModel) -> tuple[Looks, Looks]:
    """Return the detections and the truth of a sequence, which shows the frames of `video`."""
    frames, things, corners = truth_rows(excerpt)
    truth = MotRows(frames, things, corners, np.ones(len(frames)), np.zeros(len(frames), np.int64))
    found = excerpt.part.detections
    objects, (features, others) = (
        found.ids.copy(),
        (np.zeros((len(rows.ids), model.dimension)) for rows in (found, truth)),
    )
    with streamdet.open_source(str(video)) as source:
        for frame in source:
            here, there = ((rows.frames == frame.index + 1).nonzero()[0] for rows in (found, truth))
            for row, thing in matches(here, found.boxes[here], things[there], corners[there]):
                objects[row] = thing
            features[here] = model.embed(frame.image, found.boxes[here].astype(np.float32))
            others[there] = model.embed(frame.image, corners[there].astype(np.float32))
    return Looks(found._replace(ids=objects), features), Looks(truth, others)


def _crossings(truth: MotRows, apart: int) -> list[Crossing]:
    """Return the crossings of objects; those of the same two are more than `apart` frames from each other."""
    overlaps = defaultdict(list)
    for frame in np.unique(truth.frames).tolist():
        ids, boxes = truth.ids[truth.frames == frame], truth.boxes[truth.frames == frame]
        for row, column, iou in zip(*overlapping(boxes, boxes), strict=True):
            if ids[row] < ids[column] and iou >= CROSSING_IOU:
                overlaps[int(ids[row]), int(ids[column])].append((frame, iou))
    crossings = []
    for objects, seen in overlaps.items():
        ends = [k for k, (one, other) in enumerate(pairwise(seen), 1) if other[0] - one[0] > apart]
        for start, end in pairwise([0, *ends, len(seen)]):
            crossings.append(Crossing(objects, max(seen[start:end], key=lambda item: item[1])[0]))
    return crossings


def _turned(detections: Looks, truth: Looks, crossing: Crossing) -> Looks:
    """Return `detections` as if the two of a crossing had turned round."""
    (rows, features), objects = (detections.rows, detections.features.copy()), detections.rows.ids.copy()
    looks = {key: row for row, key in enumerate(zip(truth.rows.frames.tolist(), truth.rows.ids.tolist(), strict=True))}
    for own, other in (crossing.objects, crossing.objects[::-1]):
        for row in ((rows.ids == own) & (rows.frames >= crossing.frame)).nonzero()[0].tolist():
            objects[row] = other
            known = looks.get((int(rows.frames[row]), other))
            features[row] = 0 if known is None else truth.features[known]
    return Looks(rows._replace(ids=objects), features)


def _counts(
    source: SequenceSet, rule: str, detections: Looks, truth: Looks, lost: float, crossings: list[Crossing | None]
) -> Counter[str]:
    """Return the counts of the runs with each of `crossings` turned, or None, over the frames that `rule` keeps."""
    (excerpt,), counts = excerpts(source, rule), Counter[str]()
    for number, crossing in enumerate(crossings):
        scene = _turned(detections, truth, crossing) if crossing else detections
        kept = np.random.default_rng(number).random(len(scene.features)) >= lost
        seen, told = _track(excerpt, Looks(scene.rows.select(kept), scene.features[kept]))
        swaps = _swaps(seen, round(SWAP_S * excerpt.part.frame_rate))
        counts["swaps"] += len(swaps)
        counts["found"] += len(swaps & {frozenset(amendment.ids) for _, _, amendment in told})
        counts.update(_verdict(seen, *each) for each in told)
    return counts


def _track(excerpt: Excerpt, scene: Looks) -> tuple[Seen, list[tuple[int, int, Amendment]]]:
    """Return what the ids are on, and the swaps told, each with the frames since when, and in which it is told."""
    rate, seen, told = excerpt.part.frame_rate, defaultdict(list), []
    tracker, previous = read_config(DEFAULT_TRACKER).build(rate), 0
    for frame in excerpt.frames.tolist():
        present = (scene.rows.frames == frame).nonzero()[0]
        objects, features = scene.rows.ids[present], scene.features[present]
        _, _, *found = scene.rows.select(present)
        elapsed = frame - previous if previous else 1
        tracks, previous = tracker.update(*found, elapsed=elapsed, features=features.__getitem__), frame
        for track_id, row in zip(tracks.ids.tolist(), tracks.detection_index.tolist(), strict=True):
            if row >= 0 and objects[row] >= 0:
                seen[track_id].append((frame, int(objects[row])))
        swaps = [amendment for amendment in tracks.amendments if amendment.ago_s is not None]
        told += [(frame - round((each.ago_s or 0) * rate), frame, each) for each in swaps]
    return seen, told


def _verdict(seen: Seen, since: int, told: int, swap: Amendment) -> str:
    """Return whether a swap is right, by the objects that both ids were on before it and until it was told."""
    parts = [[item for item in seen.get(number, []) if item[0] <= told] for number in swap.ids]
    before = [usual([item for item in part if item[0] < since][-NEAREST:]) for part in parts]
    after = [usual([item for item in part if item[0] >= since][-NEAREST:]) for part in parts]
    if None in before + after:
        return "not judged"
    return "right" if before == after[::-1] and before[0] != before[1] else "wrong"


def _swaps(seen: Seen, within: int) -> set[frozenset[int]]:
    """Return the pairs of ids that two objects exchanged, each of them `within` as many frames of the other."""
    by_object = defaultdict(list)
    for track_id, items in seen.items():
        for frame, thing in items:
            by_object[thing].append((frame, track_id))
    changes = []
    for thing, items in by_object.items():
        items.sort()
        for k in range(SURE, len(items) - SURE + 1):
            before, after = ({number for _, number in items[a:b]} for a, b in ((k - SURE, k), (k, k + SURE)))
            if len(before) == len(after) == 1 and before != after:
                changes.append((thing, items[k][0], *before, *after))
    return {
        frozenset(one[2:])
        for one, other in combinations(changes, 2)
        if one[0] != other[0] and one[2:] == other[:1:-1] and abs(one[1] - other[1]) <= within
    }
