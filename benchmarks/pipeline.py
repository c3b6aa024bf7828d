"""Times the whole pipeline, video written, beside a peer on the same clip, weights and image size.

    python benchmarks/pipeline.py yolov8n.pt vtest.avi --peer 'PEER_PYTHON peer_pipeline.py' --rounds 3

The peer's command gets MODEL and VIDEO appended and prints JSON with `frames`, `fps` (with model loading) and
`fps_steady` (median frame). Runs alternate, each in a process of its own, so that a drifting machine speed cancels out;
ratios are taken pair by pair.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Before this file's own folder, in which a benchmark is called like the package of the trackers.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

Run = dict[str, Any]


def run_here(model: Path, video: Path, imgsz: int) -> Run:
    """Track `video` in this process and return rates in frames per second, times in ms, and what the limit allows."""
    from streamdet.cli.track import TrackOptions, run
    from streamdet.config import TRACKER

    with tempfile.TemporaryDirectory() as folder:
        since = time.perf_counter()
        report = run(
            TrackOptions(
                source=str(video),
                model=model,
                tracker=TRACKER,
                out=Path(folder, "tracked.mp4"),
                tracks=None,
                classes=None,
                conf=0.1,
                iou=0.7,
                size=imgsz,
                device="cpu",
                backend="auto",
                half=False,
                stride=1,
                max_frames=None,
                show=False,
            )
        )
        elapsed_s = time.perf_counter() - since
    return {
        "frames": report.frames,
        "fps": report.frames / elapsed_s,
        "fps_steady": report.frames / report.wall_s,
        "over_limit": report.wall_s / report.limit_s,
        "cpu_ms": 1e3 * report.cpu_s / report.frames,
        "stage_ms": {stage.name: stage.per_item_ms for stage in report.stages},
    }


def run_apart(command: list[str]) -> Run:
    """Run a command in a process of its own, and return the JSON on the last line that it prints."""
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    measured: Run = json.loads(output.strip().splitlines()[-1])
    return measured


def median(runs: list[Run], key: str) -> float:
    """Return the median of one figure over several runs."""
    return statistics.median(float(run[key]) for run in runs)


def print_table(ours: list[Run], peers: list[Run]) -> None:
    """Print rates, ratios, the time per stage and the distance to the pipeline limit."""
    console = Console(width=110)
    table = Table("", "frames", "fps", "fps steady", box=None)
    for name, runs in (("streamdet", ours), ("peer", peers)):
        if runs:
            rates = [f"{median(runs, key):.2f}" for key in ("fps", "fps_steady")]
            table.add_row(name, str(runs[0]["frames"]), *rates)
    if peers:
        pairs = [[a[key] / b[key] for a, b in zip(ours, peers, strict=True)] for key in ("fps", "fps_steady")]
        table.add_row("ratio", "", *(f"{statistics.median(p):.2f} ({min(p):.2f}-{max(p):.2f})" for p in pairs))
    console.print(table)
    stages = ", ".join(
        f"{name} {statistics.median(run['stage_ms'][name] for run in ours):.2f}" for name in ours[0]["stage_ms"]
    )
    console.print(f"ms per frame: {stages}; CPU time {median(ours, 'cpu_ms'):.2f}")
    console.print(f"total time over the pipeline limit: {median(ours, 'over_limit'):.3f}")


def main() -> None:
    """Alternate runs of this pipeline and of the peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--peer", help="command that prints JSON, MODEL and VIDEO appended")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.once:
        print(json.dumps(run_here(args.model, args.video, args.imgsz)))
        return
    files = [str(args.model), str(args.video)]
    ours, peers = [], []
    for _ in range(args.rounds):
        ours.append(run_apart([sys.executable, __file__, *files, "--imgsz", str(args.imgsz), "--once"]))
        if args.peer:
            peers.append(run_apart([*shlex.split(args.peer), *files]))
    print_table(ours, peers)


if __name__ == "__main__":
    main()
