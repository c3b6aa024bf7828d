"""Measures the detector's backends on a CPU: time compared with the bare runtime, rate, agreement and accuracy.

    streamdet export yolov8n.pt --format openvino --dynamic --int8 --calibrate car-detection.mp4 --out int8
    python benchmarks/backends.py yolov8n.pt car-detection.mp4 --data coco128.yaml --int8 int8

Each installed backend is measured in fp32, and in bf16 where the CPU supports it. Elsewhere torch emulates bf16, for
agreement and accuracy only. Calls alternate with those of the bare runtime: ratios are significant, not times.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

# The checkout comes before this file's folder, whose trackers.py would hide the package of that name.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bar, bars_table, missed
from benchmarks.detecting.accuracy import LabelledImages, accuracy_bar, accuracy_table
from benchmarks.detecting.agreement import agreement, agreement_bars, agreement_table, detections
from benchmarks.detecting.contenders import Contender, contenders, taken_by_auto
from benchmarks.detecting.times import measured, times_bars, times_table
from streamdet.bench import read_frames
from streamdet.errors import StreamdetError
from streamdet.types import Frame
from streamdet.video.source import open_source

# Every tenth frame is compared, up to 60: neighbours are nearly the same, and the first ones do not show all of a clip.
EVERY, MOST_COMPARED = 10, 60
Part = tuple[Table, list[Bar]]
console = Console(width=130, highlight=False)


def main() -> None:
    args = arguments()
    cv2.setNumThreads(1)  # as in a run
    bars = []
    try:
        for table, added in parts(args):
            console.print(table)
            bars += added
    except StreamdetError as error:
        console.print(f"error: {error}", style="red", markup=False)
        sys.exit(error.exit_code)
    console.print(bars_table("Bars", bars))
    if args.check and (sentences := missed(bars)):
        sys.exit("\n".join(sentences))


def parts(args: argparse.Namespace) -> Iterator[Part]:
    """Yield the table and the bars of each part."""
    found = contenders(args.model, args.int8)
    frames, _, _ = read_frames(str(args.video))
    yield timed(found, frames, args.imgsz)
    with open_source(str(args.video), every=EVERY, max_frames=MOST_COMPARED) as source:
        yield compared(found, list(source), args.imgsz)
    if args.data:
        yield scored(found, args)


def timed(found: Sequence[Contender], frames: Sequence[Frame], size: int) -> Part:
    """Measure the time of the contenders that are not emulated."""
    times = {each: measured(each, frames, size) for each in found if not each.emulated}
    return times_table(times), [bar for each in times.items() for bar in times_bars(*each)]


def compared(found: Sequence[Contender], frames: Sequence[Frame], size: int) -> Part:
    """Compare the detections of the others with those of the first contender, torch in fp32."""
    reference, *others = found
    expected = detections(reference, frames, size)
    agreements = {each: agreement(expected, detections(each, frames, size)) for each in others}
    return agreement_table(agreements), [bar for each in agreements.items() for bar in agreement_bars(*each)]


def scored(found: Sequence[Contender], args: argparse.Namespace) -> Part:
    """Measure the accuracy, and the loss against the first contender, torch in fp32."""
    images = LabelledImages(args.data)
    scores = {each: images.scores(each, args.imgsz) for each in found}
    reference, taken = scores[found[0]], taken_by_auto(args.model)
    return accuracy_table(reference, scores), [accuracy_bar(reference, scores[taken], taken)]


def arguments() -> argparse.Namespace:
    """Return the parsed options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("model", type=Path, help="weights, .pt or .safetensors")
    add("video", type=Path)
    add("--data", type=Path, help="data file in YAML, whose split val is scored; without it accuracy is left out")
    add("--int8", type=Path, metavar="FOLDER", help="the model as streamdet export --int8 wrote it, with --dynamic")
    add("--imgsz", type=int, default=640, help="longer side of the model input in px; of its square for --data")
    add("--check", action="store_true", help="exit with 1 and a sentence for each bar that is not met")
    return parser.parse_args()


if __name__ == "__main__":
    main()
