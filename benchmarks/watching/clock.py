"""The time of capture that results tell, beside the one that is drawn into their pictures."""

from __future__ import annotations

import time

import numpy as np
from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.watching.cameras import Cameras
from benchmarks.watching.clips import Clip
from benchmarks.watching.figures import Record, numbered
from benchmarks.watching.plays import CLOCKS
from streamdet.pipeline.pipeline import Pipeline
from tests.live.rtp import EPOCH_S

MOST_ERROR_MS = 5.0


def clock(clip: Clip, model: str | None, seconds: float) -> tuple[Table, list[Bar]]:
    """Watch a camera with each of `CLOCKS`, and one without, for `seconds`; return the errors, and the bars."""
    table = Table("camera", "results", "with a time", "error p50, ms", "largest", box=None)
    plays = [*CLOCKS, "steady"]
    with Cameras(clip, plays) as cameras, Pipeline(model=model, device="cpu") as pipeline:
        records = _watched(pipeline, cameras.urls, seconds)
    bars = []
    for name, record, sent in zip(plays, records, cameras.sent, strict=True):
        errors = []
        for number, each in zip(numbered(record.seen, sent, clip.count), record.seen, strict=True):
            if each.captured_s is not None:
                taken_s = float(EPOCH_S) + number / clip.rate_hz
                errors.append(1e3 * abs(each.captured_s - taken_s - CLOCKS[name](number / clip.rate_hz)))
        worst = max(errors, default=float("nan"))
        figures = (f"{np.median(errors):.3f}", f"{worst:.3f}") if errors else ("", "")
        table.add_row(name, str(len(record.seen)), str(len(errors)), *figures)
        if name in CLOCKS:
            bars.append(Bar(f"capture time, {name}: largest error, ms", worst, "<", MOST_ERROR_MS))
        else:
            bars.append(Bar("capture time without reports: results that tell one", len(errors), "≤", 0))
    return table, bars


def _watched(pipeline: Pipeline, urls: list[str], seconds: float) -> list[Record]:
    records = [Record() for _ in urls]
    until_s = time.monotonic() + seconds
    with pipeline.runs(*urls) as runs:
        for run, result in runs:
            records[runs.all.index(run)].take(result)
            if time.monotonic() > until_s:
                return records
    return records
