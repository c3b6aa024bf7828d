"""Whether objects keep their ids from one result to the next one after a gap."""

from __future__ import annotations

from benchmarks.watching.clips import Objects
from streamdet.boxes import box_iou
from streamdet.types import Tracks

LEAST_IOU = 0.5  # of a track with the object that it is on


def ids_of(objects: Objects, tracks: Tracks) -> dict[int, int]:
    """Return the id of the track on each object that has one, by the id of the object."""
    if not len(objects.ids) or not len(tracks):
        return {}
    iou = box_iou(objects.boxes, tracks.boxes)
    best = iou.argmax(axis=1)
    return {
        int(object_id): int(tracks.ids[column])
        for object_id, row, column in zip(objects.ids, iou, best, strict=True)
        if row[column] >= LEAST_IOU
    }


class Kept:
    """Counts the objects that have a track before and after a gap, `both`, and those whose id is the `same`."""

    def __init__(self) -> None:
        self.both = self.same = 0

    def add(self, before: dict[int, int], after: dict[int, int]) -> None:
        """Count the objects of a gap by the ids before and after it."""
        shared = before.keys() & after.keys()
        self.both += len(shared)
        self.same += sum(before[each] == after[each] for each in shared)

    @property
    def percent(self) -> float:
        """The part of the objects that kept their ids."""
        return 100 * self.same / self.both if self.both else float("nan")
