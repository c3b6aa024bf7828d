"""How `streamdet serve` comes through faults: when it sees a camera again, which ids it kept, who suffers."""

from __future__ import annotations

import math
import time

from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.watching.cameras import Cameras
from benchmarks.watching.clips import Clip
from benchmarks.watching.figures import Record, delays_ms, numbered, percentiles
from benchmarks.watching.identity import Kept, ids_of
from benchmarks.watching.plays import FAULTS
from streamdet.pipeline.pipeline import Pipeline
from streamdet.result import Result
from streamdet.serve.local import InProcess
from streamdet.serve.options import CameraSite
from streamdet.serve.server import Server
from streamdet.serve.site import Site

WARM, AFTER = 50, 10  # results at the beginning, which are not counted, and after a fault, by which ids are compared
ALONE = 150  # results of the other camera without a fault
PATIENCE_S = 90.0  # for a camera that has failed


class Failing:
    """The record of a camera that fails, and the ids of the tracks on its objects in each result, by object."""

    def __init__(self, clip: Clip, smaller: Clip) -> None:
        self.record = Record()
        self.ids: list[dict[int, int]] = []
        self._objects = {each.size: each.objects for each in (clip, smaller)}
        self._count = clip.count

    def take(self, result: Result) -> None:
        """Note `result`."""
        number = self.record.take(result)
        if number is not None:
            height, width, _ = result.frame.image.shape
            self.ids.append(ids_of(self._objects[width, height][number], result.tracks))

    def after(self, cameras: Cameras) -> list[int]:
        """Return the indices of the results that show a picture which was sent after the fault, all without a fault."""
        seen, sent = list(self.record.seen), dict(cameras.sent[0])
        fault_s = cameras.faults.get(0, 0.0)
        numbers = numbered(seen, sent, self._count)
        return [index for index, number in enumerate(numbers) if sent.get(number, math.inf) > fault_s]

    def kept(self, first: int) -> Kept:
        """Return how many objects in the result before the one with index `first` have their ids in those after."""
        kept, later = Kept(), dict[int, int]()
        for ids in self.ids[first : first + AFTER]:
            later |= ids
        kept.add(self.ids[first - 1], later)
        return kept


def faults(clip: Clip, smaller: Clip, model: str | None) -> tuple[Table, list[Bar]]:
    """Watch a camera with each of `FAULTS` beside a steady one; return the figures, and the bars."""
    table = Table("fault", "seen again after, s", "ids kept", "unreadable", "p99 of the other camera, ms", box=None)
    others_ms, lost = [], 0
    with Pipeline(model=model, device="cpu") as pipeline:
        for name in ("steady", *FAULTS):
            with Cameras(clip, [name, "steady"], smaller) as cameras:
                failing, other = _watched(pipeline, cameras, Failing(clip, smaller))
            *_, p99_ms = percentiles(delays_ms(other.seen[WARM:], cameras.sent[1], clip.count))
            others_ms.append(p99_ms)
            after, cells = failing.after(cameras), ("", "")
            if name != "steady" and after:
                since_s = cameras.wells.get(0, cameras.faults[0])
                kept = failing.kept(after[0])
                cells = f"{failing.record.seen[after[0]].time_s - since_s:.2f}", f"{kept.same} of {kept.both}"
            lost += not after
            table.add_row(name, *cells, str(failing.record.unreadable), f"{p99_ms:.0f}")
    alone_ms, *beside_ms = others_ms
    return table, [
        Bar("faults: cameras that were not seen again", lost, "≤", 0),
        Bar("faults: worst p99 of the other camera, ms", max(beside_ms), "≤", alone_ms + 1e3 / clip.rate_hz),
    ]


def _watched(pipeline: Pipeline, cameras: Cameras, failing: Failing) -> tuple[Failing, Record]:
    """Serve two cameras until the first was seen well after its fault; return what was seen of both."""
    other = Record()
    takes = {"failing": failing.take, "other": other.take}
    site = Site(cameras=tuple(map(_camera, takes, cameras.urls)))
    until_s = time.monotonic() + PATIENCE_S
    with Server(site, InProcess(pipeline, take=lambda camera, result: takes[camera.name](result))):
        while time.monotonic() < until_s:
            time.sleep(0.5)
            if cameras.faults and len(failing.after(cameras)) >= AFTER:
                break
            if not cameras.faults and len(other.seen) > WARM + ALONE:
                break
    return failing, other


def _camera(name: str, url: str) -> CameraSite:
    return CameraSite(name=name, source=url)
