"""What a thousand reconnects leave behind, whether ids survive them, and whether another camera suffers."""

from __future__ import annotations

import sys
import threading
from functools import partial

from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.watching.cameras import Cameras
from benchmarks.watching.clips import Clip
from benchmarks.watching.figures import Record, delays_ms, percentiles
from benchmarks.watching.footprint import Footprint, footprint
from benchmarks.watching.identity import Kept, ids_of
from streamdet.pipeline.camera import Camera
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.runs import Runs
from streamdet.result import Result
from streamdet.video.source import open_source

WAIT_S = 0.02  # between two connections, instead of a time that grows
WARM, ALONE = 50, 500  # pictures that are not counted at the beginning, and for which the other camera is alone
LOOKS = 10  # at threads, descriptors and memory
LEAST_KEPT_PERCENT = 95.0


class Flaky:
    """A camera that breaks off again and again: its source, and how many objects keep their ids over the gaps."""

    def __init__(self, url: str, clip: Clip) -> None:
        pause, connect = threading.Event(), partial(open_source, url)
        self.source = Camera(connect(), connect, wait=lambda _: pause.wait(WAIT_S))
        self.kept, self.record = Kept(), Record()
        self._objects = clip.objects
        self._connection, self._number, self._ids = 0, -1, dict[int, int]()

    def take(self, result: Result) -> None:
        """Compare the ids of `result` with those of the one before if there was a gap between."""
        number, connection = self.record.take(result), self.source.reconnects
        if number is None:
            return
        ids = ids_of(self._objects[number], result.tracks)
        # Where the clip begins again, all of its objects are others.
        if connection > self._connection and number > self._number:
            self.kept.add(self._ids, ids)
        self._connection, self._number, self._ids = connection, number, ids


def reconnects(clip: Clip, model: str | None, count: int) -> tuple[Table, list[Bar]]:
    """Watch a camera that breaks off `count` times beside a steady one; return the figures, and the bars."""
    with Cameras(clip, ["steady", "flaky"]) as cameras, Pipeline(model=model, device="cpu") as pipeline:
        steady, broken = cameras.urls
        with pipeline.run(steady, max_frames=ALONE) as run:
            alone = Record()
            for result in run:
                alone.take(result)
        flaky = Flaky(broken, clip)
        with pipeline.runs(steady, flaky.source) as runs:
            prints, beside = _watched(runs, flaky, count)
    table = Table("reconnects", "threads", "descriptors", "memory, MB", box=None)
    for number, each in prints.items():
        table.add_row(str(number), str(each.threads), str(each.descriptors), f"{each.memory_mb:.1f}")
    delays = (delays_ms(each.seen[WARM:], cameras.sent[0], clip.count) for each in (alone, beside))
    (_, _, alone_ms), (_, _, beside_ms) = map(percentiles, delays)
    first, *_, last = prints.values()
    return table, [
        Bar("reconnects: threads more at the end", last.threads - first.threads, "≤", 0),
        Bar("reconnects: descriptors more at the end", last.descriptors - first.descriptors, "≤", 0),
        Bar(f"reconnects: ids kept of {flaky.kept.both}, %", flaky.kept.percent, "≥", LEAST_KEPT_PERCENT),
        Bar("reconnects: pictures shown that are not what was sent", flaky.record.unreadable, "≤", 0),
        Bar("reconnects: p99 of the other camera, ms", beside_ms, "≤", alone_ms + 1e3 / clip.rate_hz),
    ]


def _watched(runs: Runs, flaky: Flaky, count: int) -> tuple[dict[int, Footprint], Record]:
    """Return what the process takes by the number of reconnects up to `count`, and what was seen of the other camera.

    The first look comes when as many reconnects have been made as lie between any two looks.
    """
    prints: dict[int, Footprint] = {}
    beside = Record()
    for run, result in runs:
        if run is runs.all[0]:
            beside.take(result)
            continue
        flaky.take(result)
        made = flaky.source.reconnects
        if made >= count * (len(prints) + 1) / LOOKS:
            prints[made] = footprint()
            print(f"{made} reconnects: {prints[made]}", file=sys.stderr, flush=True)
        if len(prints) == LOOKS:
            break
    return prints, beside
