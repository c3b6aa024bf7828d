"""Many trackers at once, as over many cameras: one after the other, in threads of one process, and in processes.

NumPy holds the interpreter lock except in long loops, so that threads take turns; a pipeline has them do so between
updates rather than within them. Processes show what the cores allow.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.tracking.clock_many import TRACKERS
from benchmarks.tracking.process import run_command

CLOCK = [sys.executable, "-m", "benchmarks.tracking.clock_many"]
WAYS = {
    "turn": "one after the other",
    "threads": f"{TRACKERS} threads",
    "threads_by_turns": f"{TRACKERS} threads, one update at a time",
    "processes": f"{TRACKERS} processes",
}
FRAMES = {10: 150, 100: 60, 1000: 15}  # of each tracker, by the number of objects


class Cost(NamedTuple):
    """What an update costs while all trackers are at work: time of the clock and of the processors, in ms."""

    wall_ms: float
    cpu_ms: float


Costs = dict[tuple[str, int], list[Cost]]  # by way and number of objects, a cost per round


def measured(crowds: Path, rounds: int) -> Costs:
    """Return the costs of every way on ``synth_N.npz`` in the folder `crowds`; the ways take turns."""
    costs: Costs = {}
    turns = [(size, way) for _ in range(rounds) for size in FRAMES for way in WAYS]
    for size, way in track(turns, "together", console=Console(stderr=True), transient=True):
        output = run_command([*CLOCK, way, str(crowds.resolve() / f"synth_{size}.npz"), str(FRAMES[size])])
        wall_ms, cpu_ms = map(float, output.split(","))
        costs.setdefault((way, size), []).append(Cost(wall_ms, cpu_ms))
    return costs


def together_table(costs: Costs) -> Table:
    """Return a table of costs by way and number of objects, with the speed-up over one after the other."""
    title = (
        f"{TRACKERS} trackers at once, ms per update by number of objects (processor time), times as fast as in turn"
    )
    table = Table("", *map(str, FRAMES), title=title, box=SIMPLE_HEAD)
    for way, label in WAYS.items():
        table.add_row(label, *(_text(costs[way, size], costs["turn", size]) for size in FRAMES))
    return table


def _text(rounds: Sequence[Cost], in_turn: Sequence[Cost]) -> str:
    wall_ms, cpu_ms = (statistics.median(column) for column in zip(*rounds, strict=True))
    speed_up = statistics.median(turn.wall_ms / cost.wall_ms for cost, turn in zip(rounds, in_turn, strict=True))
    return f"{wall_ms:.3g} ({cpu_ms:.3g}), {speed_up:.2f}"
