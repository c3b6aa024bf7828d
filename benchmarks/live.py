r"""Measures what watches cameras around the clock: delays, the latency contract, reconnects, an hour, clocks, faults.

    python benchmarks/live.py --only glass --check
    python benchmarks/live.py --only contract --model yolov8n.pt --peer ULTRALYTICS_ENV/bin/python
    python benchmarks/live.py --only reconnects,hour,clock,faults

Cameras are RTSP servers in a process of their own. They show a rendered street that was coded beforehand: every picture
carries its number as black and white squares, and all objects are known. The process notes when it sends which picture,
and the number is read back from the image of the result, so that delays are measured from glass to result. FFmpeg's
parser returns a picture when the next one begins: a period is a part of every delay. Clips are made once, and kept in
`--clips`.

- glass: the delay for 1, 4 and 8 cameras of 720p, 10 Hz, and how many cores the cameras and the watching process took.
- contract: a camera of 720p, 10 Hz, and a detector that takes three periods for an image (smaller images less, in
  proportion to their area) with a `max_latency`; then the peer, with the same model and as slow, on the same stream.
- reconnects: a camera that breaks off after every fifth picture, with short waits, beside a steady one.
- hour: `streamdet serve` with four cameras, 640x360, 5 Hz: threads, descriptors and memory once a minute.
- clock: capture times by sender reports of cameras whose clocks are right, wrong and fast, and of one without reports.
- faults: `streamdet serve` with a camera that fails in each way, beside a steady one.

Delays need a machine that does nothing else. The model is the embedded one unless another is given.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

# The checkout comes before this file's folder, whose trackers.py would hide the package of that name.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bar, bars_table, missed
from benchmarks.watching.clips import Clip
from benchmarks.watching.clock import clock
from benchmarks.watching.contract import contract
from benchmarks.watching.faults import faults
from benchmarks.watching.glass import glass
from benchmarks.watching.hour import hour
from benchmarks.watching.reconnects import reconnects
from streamdet.machine import core_count

ROOT = Path(__file__).resolve().parents[1]
SMALL = 640, 360
PARTS: dict[str, Callable[[argparse.Namespace], tuple[Table, list[Bar]]]] = {
    "glass": lambda args: glass(Clip(args.clips), args.model, args.cameras, args.seconds),
    "contract": lambda args: contract(Clip(args.clips), args.model, args.minutes, args.max_latency, args.peer),
    "reconnects": lambda args: reconnects(Clip(args.clips, SMALL, 25, key_interval=5), args.model, args.reconnects),
    "hour": lambda args: hour(Clip(args.clips, SMALL, 5), args.model, args.hour_minutes),
    "clock": lambda args: clock(Clip(args.clips, SMALL), args.model, args.seconds),
    "faults": lambda args: faults(Clip(args.clips), Clip(args.clips, SMALL), args.model),
}


def main() -> None:
    args = arguments()
    console = Console(width=120)
    console.print(f"{processor()}, {core_count()} cores: {shlex.join(['python', *sys.argv])}", markup=False)
    if "contract" in args.only and args.peer is None:
        console.print("contract: the peer is left out, since no --peer is given")
    bars = []
    for part in args.only:
        table, added = PARTS[part](args)
        table.title = part
        console.print(table)
        bars += added
    console.print(bars_table("Bars", bars))
    if args.check and (sentences := missed(bars)):
        sys.exit("\n".join(sentences))


def arguments() -> argparse.Namespace:
    """Return the checked options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--only", type=_parts, default=list(PARTS), metavar="A,B", help=f"some of {', '.join(PARTS)}")
    add("--model", type=_file, help="weights of the detector; a .pt file for the peer")
    add("--cameras", type=int, nargs="+", default=[1, 4, 8], metavar="N", help="numbers of cameras of glass")
    add("--seconds", type=float, default=60, help="for each number of cameras of glass, and for clock")
    add("--minutes", type=float, default=10, help="of contract")
    add("--max-latency", type=float, default=0.5, help="of contract, in s")
    add("--peer", type=Path, metavar="PYTHON", help="of an environment that has ultralytics")
    add("--reconnects", type=int, default=1000, metavar="N")
    add("--hour-minutes", type=int, default=60, metavar="N", help="how long an hour is")
    add("--clips", type=Path, default=ROOT / "runs" / "live", help="folder of the clips")
    add("--check", action="store_true", help="exit with 1 when a bar is missed")
    args = parser.parse_args()
    if args.peer is not None and "contract" in args.only and args.model is None:
        parser.error("--peer expects a .pt file as --model, which both detectors use")
    return args


def processor() -> str:
    """Return the name of the processor."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.machine()


def _file(text: str) -> str:
    return str(Path(text).resolve())


def _parts(text: str) -> list[str]:
    if unknown := [name for name in text.split(",") if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(PARTS)}, found {unknown[0]!r}")
    return text.split(",")


if __name__ == "__main__":
    main()
