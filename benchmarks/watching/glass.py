"""Glass to result: the time from the sending of a picture until its result is read, for one camera and several."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.watching.cameras import Cameras
from benchmarks.watching.clips import Clip
from benchmarks.watching.figures import Record, delays_ms, percentiles
from streamdet.pipeline.pipeline import Pipeline

WARM_S = 5.0  # at the beginning, in which connections and buffers are made
MOST_PERIODS = 2
COLUMNS = "glass to result p50, ms", "p95", "p99", "age p99"


class Watched(NamedTuple):
    """What was seen of each camera, the part of the frames that was dropped, and the CPU time of this process per s."""

    records: list[Record]
    dropped: float
    share: float


def glass(clip: Clip, model: str | None, counts: list[int], seconds: float) -> tuple[Table, list[Bar]]:
    """Watch as many cameras as `counts` says, each time for `seconds`; return the figures, and the bar of the last."""
    table = Table("cameras", "results", "dropped, %", *COLUMNS, "cores, cameras", "cores, watching", box=None)
    with Pipeline(model=model, device="cpu") as pipeline:
        for count in counts:
            with Cameras(clip, ["steady"] * count) as cameras:
                watched = _watch(pipeline, cameras.urls, seconds)
            pairs = zip(watched.records, cameras.sent, strict=True)
            delays = np.concatenate([delays_ms(record.seen, sent, clip.count) for record, sent in pairs])
            *_, p99_ms = figures = percentiles(delays)
            *_, age_s = percentiles([each.age_s for record in watched.records for each in record.seen])
            table.add_row(
                *(str(count), str(len(delays)), f"{100 * watched.dropped:.2f}"),
                *(f"{each:.0f}" for each in (*figures, 1e3 * age_s)),
                *(f"{cameras.share:.2f}", f"{watched.share:.2f}"),
            )
    name = f"{counts[-1]} cameras of {clip.size[1]}p, {clip.rate_hz} Hz: p99 from glass to result, ms"
    return table, [Bar(name, p99_ms, "<", MOST_PERIODS * 1e3 / clip.rate_hz)]


def _watch(pipeline: Pipeline, urls: list[str], seconds: float) -> Watched:
    """Watch the cameras at `urls` for `seconds` after the beginning, which is not counted."""
    records = [Record() for _ in urls]
    with pipeline.runs(*urls) as runs:
        counted_s = time.monotonic() + WARM_S
        began_cpu_s = time.process_time()
        for run, result in runs:
            now_s = time.monotonic()
            if now_s < counted_s:
                began_cpu_s = time.process_time()
            elif now_s < counted_s + seconds:
                records[runs.all.index(run)].take(result)
            else:
                break
        stats = [run.stats for run in runs.all]
    dropped, read = (sum(each) for each in zip(*((one.dropped, one.results) for one in stats), strict=True))
    return Watched(records, dropped / (dropped + read), (time.process_time() - began_cpu_s) / seconds)
