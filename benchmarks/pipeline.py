"""Times the whole pipeline, with a video written, against its limit and a peer on the same clip, weights and size.

    python benchmarks/pipeline.py yolov8n.pt vtest.avi --peer 'PEER_PYTHON peer_pipeline.py' --rounds 3

MODEL and VIDEO are appended to the peer's command, which prints JSON with `frames`, `fps` (with model loading) and
`fps_steady` (median frame). Runs alternate, each in a separate process, so that a drift of the machine's speed cancels
out; ratios are taken pair by pair.

The limit follows from the stages when each runs alone, measured in the same process after the run: the time of the
slowest one, or the CPU time of all spread over the cores.
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

# The checkout comes before this file's folder, whose trackers.py would hide the package of that name.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bar, missed
from streamdet.bench import Limit, StageCost, detector_rate, read_frames, run_limit, stage_costs
from streamdet.cli.report import RunReport
from streamdet.cli.track import track_one
from streamdet.detect.detector import Detector
from streamdet.options import DetectOptions, TrackOptions
from streamdet.video.source import open_source

HELD_BYTES = 512 << 20  # of frames that are held in memory
Run = dict[str, Any]


def run_here(model: Path, video: Path, imgsz: int) -> Run:
    """Track `video` in this process and return rates in frames per second, times in ms, and the limit."""
    since = time.perf_counter()
    report = whole_run(model, video, imgsz)
    elapsed_s = time.perf_counter() - since
    costs, limit = alone(model, video, imgsz, report)
    return {
        "frames": report.frames,
        "fps": report.frames / elapsed_s,
        "fps_steady": report.frames / report.wall_s,
        "limit_fps": limit.rate_hz,
        "limited_by": limit.bottleneck,
        "over_limit": report.wall_s * limit.rate_hz / report.frames,
        "cpu_ms": 1e3 * report.cpu_s / report.frames,
        "stage_ms": {stage.name: stage.per_item_ms for stage in report.stages},
        "alone_ms": {name: cost.wall_ms for name, cost in costs.items()},
        "alone_cpu_ms": {name: cost.cpu_ms for name, cost in costs.items()},
    }


def whole_run(model: Path, video: Path, imgsz: int) -> RunReport:
    """Track `video`, write a video of it, and return the report of the run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "tracked.mp4")
        return track_one(TrackOptions(sources=(str(video),), model=model, out=(out,), size=imgsz, device="cpu"))


def alone(model: Path, video: Path, imgsz: int, report: RunReport) -> tuple[dict[str, StageCost], Limit]:
    """Return the time per frame of every stage running alone, and the limit that follows for a run of all.

    Measured on the frames of the run, as far as they fit into `HELD_BYTES`; detecting for as long as the run took.
    """
    with open_source(str(video)) as source:
        frame_bytes = 3 * source.info.width * source.info.height
    frames, info, decoding = read_frames(str(video), min(report.frames, HELD_BYTES // frame_bytes))
    detector = Detector(model, device="cpu", size=imgsz, conf=DetectOptions.conf)
    rate = detector_rate(detector, frames, report.wall_s)
    beside = {"decode": decoding} | stage_costs(detector, frames, info)
    return {"detect": StageCost(1e3 / rate.rate_hz, rate.cpu_ms)} | beside, run_limit(rate, beside)


def run_apart(command: list[str]) -> Run:
    """Run a command in a separate process, and return the JSON on the last line that it prints."""
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
    for title, key in (("in the run", "stage_ms"), ("alone", "alone_ms"), ("alone, CPU time", "alone_cpu_ms")):
        console.print(f"ms per frame {title}: {medians(ours, key)}")
    console.print(f"ms per frame of CPU time in the run: {median(ours, 'cpu_ms'):.2f}")
    console.print(
        f"limit by stages alone: {median(ours, 'limit_fps'):.2f} fps, {ours[-1]['limited_by']}; "
        f"the run takes {median(ours, 'over_limit'):.3f} times as long"
    )


def medians(runs: list[Run], key: str) -> str:
    """Return the medians of figures by stage over several runs, as text."""
    return ", ".join(f"{name} {statistics.median(run[key][name] for run in runs):.2f}" for name in runs[0][key])


def main() -> None:
    """Alternate runs of this pipeline and of the peer, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--peer", help="command that prints JSON, MODEL and VIDEO appended")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a run takes too long for its limit")
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
    bar = Bar("time of a whole run over the limit by its stages alone", median(ours, "over_limit"), "≤", 1.1)
    if args.check and (sentences := missed([bar])):
        sys.exit("\n".join(sentences))


if __name__ == "__main__":
    main()
