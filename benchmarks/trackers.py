r"""Measures the trackers and their peers: accuracy, dropped frames, refinement, amendments, tuning without
labels, and speed, each as a table.

    python synthetic_detections.py CROWDS
    python benchmarks/trackers.py --crowds CROWDS --peer-script peer_trackers.py \
        --peer ultra_bot=ULTRALYTICS_ENV/bin/python --peer boxmot_bot=BOXMOT_ENV/bin/python

The data is in the folder STREAMDET_DATA. The detections of vtest.avi are made once, by YOLOv8n, and kept in `--vtest`.

A peer has the name that its script gives it, and runs with the python of the environment where it is installed. Figures
marked as quoted were not measured in this run. The bars apply to the default tracker.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

# The checkout comes before this file's folder, where this file would hide the package of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bar, bars_table, missed
from benchmarks.tracking import accuracy, figures, speed, together
from benchmarks.tracking.accuracy import COMBINED
from benchmarks.tracking.amendments import amended
from benchmarks.tracking.ours import Ours, variants
from benchmarks.tracking.peer import Peer, peer_variants
from benchmarks.tracking.sequences import ALL_FRAMES, MOT17, VTEST, sequence_sets
from benchmarks.tracking.swaps import swapped
from benchmarks.tracking.unlabelled import tuned
from benchmarks.tracking.vtest import store_detections
from streamdet.errors import StreamdetError
from trackers.config import DEFAULT_TRACKER, TRACKERS

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
DATA = Path(os.environ.get("STREAMDET_DATA", SHARED / "data"))
SLOWER = ("every 3rd", "every 6th")
WIDTH = 160
DEFAULT = Ours(DEFAULT_TRACKER)
REFINED = replace(DEFAULT, refined=True)
Part = tuple[Table, list[Bar]]


def online(args: argparse.Namespace) -> list[Part]:
    """Measure accuracy online: on MOT17 at the defaults and the paper's thresholds, on every set at the defaults."""
    ours = [contestant for name in args.trackers for contestant in variants(name)]
    peers = [contestant for peer in args.peers for contestant in peer_variants(peer)]
    scores = accuracy.measured({MOT17: args.sets[MOT17]}, [*peers, *ours], [ALL_FRAMES])
    table = accuracy.accuracy_table("Online", scores, figures.QUOTED_ONLINE)
    bars = figures.online_bars(scores[DEFAULT, MOT17, ALL_FRAMES][COMBINED]) if DEFAULT in ours else []
    return [(table, bars), every_set(args)]


def every_set(args: argparse.Namespace) -> Part:
    """Measure the accuracy on every set at the defaults, over all frames and fewer."""
    store_detections(DATA, args.vtest)
    scores = accuracy.measured(args.sets, [*args.peers, *map(Ours, args.trackers)], [ALL_FRAMES, *SLOWER])
    if DEFAULT_TRACKER not in args.trackers:
        return accuracy.sets_table(scores), []
    bars = [
        Bar(f"HOTA, {name}", scores[DEFAULT, name, ALL_FRAMES][COMBINED].hota, "≥", least)
        for name, least in figures.LEAST_HOTA.items()
    ]
    return accuracy.sets_table(scores), bars + accuracy.lead_bars(scores, DEFAULT, args.peers)


def refined(args: argparse.Namespace) -> list[Part]:
    """Measure the accuracy of refined tracks over all frames: of each tracker on MOT17, of the default on every set."""
    ours = [replace(contestant, refined=True) for contestant in _one_each(args.trackers)]
    scores = accuracy.measured({MOT17: args.sets[MOT17]}, ours, [ALL_FRAMES])
    table = accuracy.accuracy_table("Refined", scores, figures.QUOTED_REFINED)
    bars = figures.refined_bars(scores[REFINED, MOT17, ALL_FRAMES][COMBINED]) if REFINED in ours else []
    return [(table, bars), refined_sets(args)]


def refined_sets(args: argparse.Namespace) -> Part:
    """Measure what refinement gains on every set."""
    store_detections(DATA, args.vtest)
    scores = accuracy.measured(args.sets, [DEFAULT, REFINED], [ALL_FRAMES])
    online, later = (
        {name: scores[who, name, ALL_FRAMES][COMBINED] for name in args.sets} for who in (DEFAULT, REFINED)
    )
    bars = [Bar(f"refined HOTA, {name}", later[name].hota, ">", online[name].hota) for name in args.sets]
    return accuracy.sets_table(scores), bars


def dropped(args: argparse.Namespace) -> list[Part]:
    """Measure accuracy with dropped frames."""
    peers = [peer_variants(peer)[-1] for peer in args.peers]
    contestants: list[accuracy.Contestant] = [*peers, *_one_each(args.trackers)]
    scores = accuracy.measured({MOT17: args.sets[MOT17]}, contestants, list(figures.DROPPED_HOTA))
    judged = figures.DROPPED_HOTA if DEFAULT in contestants else ()
    bars = [figures.dropped_bar(rule, scores[DEFAULT, MOT17, rule][COMBINED]) for rule in judged]
    return [(accuracy.dropped_table(scores), bars)]


def timed(args: argparse.Namespace) -> list[Part]:
    """Measure the time per frame."""
    times = speed.clock([*args.peers, *map(Ours, args.trackers)], args.crowds, args.rounds)
    bars = speed.speed_bars(times, DEFAULT_TRACKER) if DEFAULT_TRACKER in args.trackers else []
    return [(speed.speed_table(times), bars)]


def at_once(args: argparse.Namespace) -> list[Part]:
    """Measure the time of an update while many trackers run."""
    return [(together.together_table(together.measured(args.crowds, args.rounds)), [])]


def _one_each(names: list[str]) -> list[Ours]:
    """Return each tracker once: the default as it ships, the others at the paper's thresholds."""
    return [DEFAULT if name == DEFAULT_TRACKER else variants(name)[-1] for name in names]


def amendments(args: argparse.Namespace) -> list[Part]:
    """Measure how far the default tracker's amendments are right."""
    store_detections(DATA, args.vtest)
    video, reid = DATA / "videos" / "vtest.avi", DATA / "weights" / "osnet_x0_25_msmt17.onnx"
    return [(amended(args.sets), []), (swapped(args.sets[VTEST], video, reid), [])]


def unlabelled(args: argparse.Namespace) -> list[Part]:
    """Measure what tuning without labels gains on footage that it did not see."""
    store_detections(DATA, args.vtest)
    return [(tuned(args.sets), [])]


PARTS: dict[str, Callable[[argparse.Namespace], list[Part]]] = {
    "accuracy": online,
    "refine": refined,
    "amendments": amendments,
    "unlabelled": unlabelled,
    "dropped": dropped,
    "speed": timed,
    "together": at_once,
}
TIMED = {"speed", "together"}  # on crowds


def main() -> None:
    args = arguments()
    console = Console(width=WIDTH)
    bars = []
    try:
        for part in args.only:
            for table, added in PARTS[part](args):
                console.print(table)
                bars += added
    except StreamdetError as error:
        console.print(f"error: {error}", style="red", markup=False)
        sys.exit(error.exit_code)
    if bars:
        console.print(bars_table(f"Bars for {DEFAULT_TRACKER}, the default", bars))
    if args.check and (sentences := missed(bars)):
        sys.exit("\n".join(sentences))


def arguments() -> argparse.Namespace:
    """Return the checked options; `peers` are contestants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--trackers", type=_some_of(TRACKERS), default=list(TRACKERS), metavar="A,B", help="all by default")
    add("--only", type=_some_of(PARTS), default=list(PARTS), metavar="A,B", help=f"some of {', '.join(PARTS)}")
    add("--vtest", type=Path, default=ROOT / "runs" / "vtest", help="folder of the stored detections of vtest.avi")
    add("--drop-ignored", type=Path, default=SHARED / "tools" / "drop_ignored.py", help="script that KITTI needs")
    add("--crowds", type=Path, help="folder of synth_10.npz, ..., which speed and together need")
    add("--peer", type=_peer, action="append", default=[], metavar="NAME=PYTHON", help="may be given several times")
    add("--peer-script", type=Path, default=SHARED / "tools" / "peer_trackers.py")
    add("--rounds", type=int, default=2, help="how often speed and together are measured")
    add("--check", action="store_true", help="exit with 1 when the default tracker misses a bar")
    args = parser.parse_args()
    if args.check and DEFAULT_TRACKER not in args.trackers:
        parser.error(f"--check expects the default tracker, {DEFAULT_TRACKER}, among --trackers, found {args.trackers}")
    if TIMED & {*args.only} and (args.crowds is None or not args.crowds.is_dir()):
        parser.error(f"speed expects the folder that synthetic_detections.py fills as --crowds, found {args.crowds}")
    if {*args.only} - TIMED and not (DATA / "mot").is_dir():
        parser.error(f"expected a folder mot in STREAMDET_DATA, found none in {DATA}")
    if "accuracy" in args.only and not args.drop_ignored.is_file():
        parser.error(f"--drop-ignored expects drop_ignored.py, found no file at {args.drop_ignored}")
    if args.peer and not args.peer_script.is_file():
        parser.error(f"--peer-script expects peer_trackers.py, found no file at {args.peer_script}")
    args.sets = sequence_sets(DATA, args.drop_ignored, args.vtest)
    args.peers = [Peer(name, python, args.peer_script.resolve()) for name, python in args.peer]
    return args


def _some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a parser of names, separated by commas, that refuses names not in `known`."""

    def read(text: str) -> list[str]:
        if unknown := [name for name in text.split(",") if name not in known]:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, found {unknown[0]!r}")
        return text.split(",")

    return read


def _peer(text: str) -> tuple[str, Path]:
    name, _, python = text.partition("=")
    if not Path(python).is_file():
        raise argparse.ArgumentTypeError(f"expected NAME=PYTHON with a python that exists, found {text!r}")
    return name, Path(python).absolute()


if __name__ == "__main__":
    main()
