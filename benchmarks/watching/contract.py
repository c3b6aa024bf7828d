"""The latency contract under overload, beside a peer: a detector that manages a third of the camera's rate."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.tracking.process import ROOT
from benchmarks.watching.cameras import Cameras
from benchmarks.watching.clips import Clip
from benchmarks.watching.figures import Record, Seen, delays_ms, percentiles
from benchmarks.watching.slow import SlowSession
from streamdet.files import EMBEDDED_MODEL
from streamdet.inference.load import load_session
from streamdet.pipeline.pipeline import Pipeline

SLOWER = 3  # periods of the camera that the detector takes for an image
WARM_S = 10.0  # at the beginning, in which models are compiled and the contract finds its step
DRIVER = Path(__file__).with_name("peer_driver.py")


def contract(
    clip: Clip, model: str | None, minutes: float, limit_s: float, peer: Path | None
) -> tuple[Table, list[Bar]]:
    """Watch a camera for `minutes` with ages below `limit_s`, then with the `peer`; return the figures, and the bar."""
    table = Table("", "minute", "results", "detected, %", "age p50, ms", "p99", "glass p50, ms", "p99", box=None)
    slow_s = SLOWER / clip.rate_hz
    with Cameras(clip, ["steady"]) as cameras:
        record, detected = _ours(cameras.urls[0], model, slow_s, limit_s, 60 * minutes)
    _add_rows(table, "streamdet", record.seen, cameras.sent[0], clip.count, f"{100 * detected:.0f}")
    _, _, p99_ms = percentiles([1e3 * each.age_s for each in record.seen])
    if peer is not None:
        with Cameras(clip, ["steady"]) as cameras:
            seen = list(_peer(peer, cameras.urls[0], model, slow_s, 60 * minutes))
        _add_rows(table, "yolo track", seen, cameras.sent[0], clip.count, "100")
    return table, [Bar(f"max_latency {limit_s:g} s: p99 of age over {minutes:g} min, ms", p99_ms, "<", 1e3 * limit_s)]


def _ours(url: str, model: str | None, slow_s: float, limit_s: float, seconds: float) -> tuple[Record, float]:
    """Return what was seen after the beginning, and the part of the frames that were detected in."""
    session = SlowSession(load_session(Path(model or EMBEDDED_MODEL), device="cpu"), slow_s)
    record = Record()
    with Pipeline.from_session(session) as pipeline, pipeline.run(url, max_latency_s=limit_s) as run:
        counted_s = time.monotonic() + WARM_S
        for result in run:
            if time.monotonic() > counted_s + seconds:
                break
            if time.monotonic() > counted_s:
                record.take(result)
        return record, run.stats.detected / run.stats.results


def _peer(python: Path, url: str, model: str | None, slow_s: float, seconds: float) -> Iterator[Seen]:
    """Yield what the peer has seen after its beginning."""
    # -P: the peer must not import modules of this project that have the names of its own.
    command = [str(python), "-P", str(DRIVER), url, str(model), str(slow_s), str(WARM_S + seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    first_s = None
    for line in process.stdout:
        match line.split():
            case ["seen", mark, at_s]:
                first_s = first_s or float(at_s)
                if float(at_s) > first_s + WARM_S:
                    yield Seen(int(mark), float(at_s), float("nan"))
    if process.wait():
        raise SystemExit(f"the peer ended with exit code {process.returncode}")


def _add_rows(table: Table, name: str, seen: list[Seen], sent: dict[int, float], count: int, detected: str) -> None:
    """Add a row for each minute, and one for all."""
    delays, ages = delays_ms(seen, sent, count), np.array([1e3 * each.age_s for each in seen])
    minute = np.array([int((each.time_s - seen[0].time_s) / 60) for each in seen])
    for label, chosen in [*((str(k + 1), minute == k) for k in range(minute.max() + 1)), ("all", minute >= 0)]:
        (age_50, _, age_99), (glass_50, _, glass_99) = percentiles(ages[chosen]), percentiles(delays[chosen])
        cells = ("" if np.isnan(each) else f"{each:.0f}" for each in (age_50, age_99, glass_50, glass_99))
        table.add_row(name, label, str(chosen.sum()), detected if label == "all" else "", *cells)
