r"""Tries random inputs at the doors of streamdet, and counts what becomes of them.

    python benchmarks/fuzz.py --minutes 10 --door "data file" --door state --out faults

An input is accepted, refused with one sentence, or a FAULT: any other exception, a crash, no end within 10 s, over 1 GB
of memory. Inputs of faults are written to the folder --out, and tried again by ``--door NAME --try FILE``.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

# The checkout comes before this file's folder, as in benchmarks/trackers.py.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.fuzz.doors import DOORS
from tests.fuzz.worker import Outcome, Worker

WIDTH = 160


def main() -> int:
    """Print the counts of each door; returns 1 when there was a fault."""
    args = _parser().parse_args()
    names = args.door or list(DOORS)
    console, counts = Console(width=WIDTH), {name: Counter[str]() for name in names}
    with tempfile.TemporaryDirectory() as folder, Worker(Path(folder)) as worker:
        if args.repeat:
            console.print(worker(names[0], args.repeat.read_bytes()), markup=False)
            return 0
        for name in names:
            seeds, rng = worker.seeds(name), np.random.default_rng(args.seed)
            end_s = time.monotonic() + 60 * args.minutes / len(names)
            while time.monotonic() < end_s:
                content = DOORS[name].mutate(rng, seeds[rng.integers(len(seeds))])
                outcome = worker(name, content)
                counts[name][outcome.kind] += 1
                if outcome.kind == "FAULT" and (path := _saved(args.out, name, content, outcome)):
                    console.print(f"{name}: {outcome.detail}: {path}", markup=False)
    console.print(_table(counts))
    return int(any(count["FAULT"] for count in counts.values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="time for all doors together")
    parser.add_argument("--door", action="append", choices=DOORS, help="a door, may be repeated; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the random inputs")
    parser.add_argument("--out", type=Path, default=Path("faults"), help="folder for the inputs of faults")
    parser.add_argument("--try", dest="repeat", type=Path, help="try the input in this file at the first door")
    return parser


def _saved(out: Path, name: str, content: bytes, outcome: Outcome) -> Path | None:
    """Write an input to a file that is named by its door and kind of fault; None if there is one of this kind."""
    kind = hashlib.sha256(outcome.detail[:60].encode()).hexdigest()[:8]
    path = out / f"{name.replace(' ', '-')}-{kind}"
    if path.exists():
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _table(counts: dict[str, Counter[str]]) -> Table:
    kinds = ("accepted", "refused", "FAULT")
    table = Table("door", *kinds)
    for name, count in counts.items():
        table.add_row(name, *(str(count[kind]) for kind in kinds))
    return table


if __name__ == "__main__":
    sys.exit(main())
