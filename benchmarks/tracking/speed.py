"""Times of contestants on crowds of several sizes, each measured in a separate process, contestants alternating.

By alternation a drift of the machine's speed cancels out; ratios are taken within one round.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.tracking.ours import Ours
from benchmarks.tracking.peer import Peer
from benchmarks.tracking.process import run_command

SIZES = (10, 50, 100, 300, 1000)
FRAMES = 150  # more than any of the trackers keeps a lost track
JUDGE = "ultra_bot"  # ultralytics' BoT-SORT
LIMITS = {10: 0.30, 100: 0.07, 1000: 0.035}  # of the judge's time, by the number of objects


class Time(NamedTuple):
    """Time per frame over one crowd, in ms."""

    median_ms: float
    p99_ms: float


Times = Mapping[tuple[str, int], list[Time]]  # by label and crowd size, a time per round


def clock(contestants: Sequence[Ours | Peer], crowds: Path, rounds: int) -> Times:
    """Return the times of `contestants` on ``synth_N.npz`` in the folder `crowds`."""
    times: dict[tuple[str, int], list[Time]] = {}
    turns = [(size, contestant) for _ in range(rounds) for size in SIZES for contestant in contestants]
    for size, contestant in track(turns, "timing", console=Console(stderr=True), transient=True):
        output = run_command(contestant.clock_command(crowds.resolve() / f"synth_{size}.npz", FRAMES))
        _, _, median_ms, p99_ms, _ = output.splitlines()[-1].split(",")
        times.setdefault((contestant.name, size), []).append(Time(float(median_ms), float(p99_ms)))
    return times


def speed_table(times: Times) -> Table:
    """Return a table of times by number of objects, and of their growth."""
    title = "ms per frame by number of objects: median (99th percentile)"
    table = Table("", *map(str, SIZES), "growth", title=title, box=SIMPLE_HEAD)
    for name in dict.fromkeys(name for name, _ in times):
        cells = (_text(times[name, size]) for size in SIZES)
        table.add_row(name, *cells, f"N^{growth(times, name):.2f}")
    return table


def growth(times: Times, name: str) -> float:
    """Return the exponent e of time ~ N^e between 100 and 1000 objects."""
    # e = log(t_1000 / t_100) / log(1000 / 100)
    return statistics.median(
        math.log10(large.median_ms / small.median_ms)
        for large, small in zip(times[name, 1000], times[name, 100], strict=True)
    )


def speed_bars(times: Times, name: str) -> list[Bar]:
    """Return the bars for tracker `name`, as shares of the judge's time where that was measured."""
    bars = [Bar("growth from 100 to 1000 objects", growth(times, name), "≤", 1.3)]
    if (JUDGE, 100) in times:
        bars += [
            Bar(f"time over {JUDGE}'s at {size} objects", _ratio(times, name, size), "≤", limit)
            for size, limit in LIMITS.items()
        ]
    return bars


def _ratio(times: Times, name: str, size: int) -> float:
    pairs = zip(times[name, size], times[JUDGE, size], strict=True)
    return statistics.median(ours.median_ms / judge.median_ms for ours, judge in pairs)


def _text(rounds: list[Time]) -> str:
    """Return the medians over all `rounds` as text."""
    median_ms, p99_ms = (statistics.median(column) for column in zip(*rounds, strict=True))
    return f"{median_ms:.3g} ({p99_ms:.3g})"
