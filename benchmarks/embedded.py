"""Measures the embedded model beside YOLOv8n and YOLOX-nano: precision on labelled images, tracks, and speed.

    python benchmarks/embedded.py DATA [--model last.safetensors] [--only precision,tracks,speed]

DATA is the folder of reference data. YOLOX-nano, the teacher of the embedded model, detects at its own 416 px only.
The scores on general photographs serve the choice of a model: they may not be published as scores on VOC or COCO.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# The checkout comes before this file's folder, whose trackers.py would hide the package of that name.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bar, bars_table, missed
from scripts.embedded.complete import VAL_SOURCES, Source
from scripts.embedded.teacher import Teacher
from streamdet.bench import detector_rate, read_frames
from streamdet.cli.track import track_one
from streamdet.data.dataset import LabelledImage
from streamdet.data.images import is_image_file
from streamdet.data.locate import label_path
from streamdet.detect.detector import Detector
from streamdet.evaluate.det import DetectImage, DetectionScores, matched_classes, score_detections, scored_images
from streamdet.evaluate.mot import evaluate_mot
from streamdet.files import EMBEDDED_MODEL
from streamdet.options import TrackOptions
from streamdet.scene.truth import CLASS_NAMES
from streamdet.types import Detections, Frame

LOWEST = 0.001  # lowest score of a detection that counts
COMPARED = CLASS_NAMES[:5]  # the classes that general photographs are labelled for, all but trucks
PERSON_AP50, CAR_AP50, LEAST_SHARE, HOTA, MOTA, LEAST_RATE = 45.0, 15.0, 0.6, 54.0, 78.0, 1.5
ROUNDS, SECONDS = 5, 3.0  # of the measurements of speed
console = Console(width=150, highlight=False)


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Labelled images of one name, with the names of the classes of their labels."""

    name: str
    class_names: tuple[str, ...]
    images: tuple[LabelledImage, ...]


def main() -> None:
    args = arguments()
    cv2.setNumThreads(1)  # as in a run
    parts = {"precision": precision, "tracks": tracks, "speed": speed}
    bars: list[Bar] = []
    for name in args.only:
        bars += parts[name](args.data, args.model)
    console.print(bars_table("Bars", bars))
    if args.check and (sentences := missed(bars)):
        sys.exit("\n".join(sentences))


def precision(data: Path, model: Path) -> list[Bar]:
    """Print a table of AP50 by class for each set of images, and return the bars."""
    yolov8n = data / "weights" / "yolov8n.pt"
    teacher = Teacher(data / "weights" / "yolox_nano.onnx", LOWEST)
    coco, *others = image_sets(data, Detector(yolov8n, device="cpu").class_names)
    reached: dict[tuple[str, str, int], DetectionScores] = {}
    for images in (coco, *others):
        for size in (320, 640):
            for name, weights in contenders(data, model).items():
                detector = Detector(weights, device="cpu", size=(size, size), conf=LOWEST, iou=0.7)
                reached[images.name, name, size] = scores(images, detector.class_names, detector.stream)
        reached[images.name, "yolox-nano", 416] = scores(images, CLASS_NAMES, taught(teacher))
    console.print(precision_table(reached))
    ours = reached[coco.name, "embedded", 640].by_class
    general = {name: mean_ap50(reached["general photographs", name, 640]) for name in ("embedded", "yolov8n")}
    return [
        Bar("COCO128 at 640 px: AP50 of persons", 100 * ours["person"].ap50, "≥", PERSON_AP50),
        Bar("COCO128 at 640 px: AP50 of cars", 100 * ours["car"].ap50, "≥", CAR_AP50),
        Bar("general photographs: share of YOLOv8n's AP50", general["embedded"] / general["yolov8n"], "≥", LEAST_SHARE),
    ]


def image_sets(data: Path, coco_names: tuple[str, ...]) -> list[ImageSet]:
    """Return COCO128 first, then the general photographs of the validation, then its other sources one by one."""
    every = (True,) * len(coco_names)
    sets = [ImageSet("COCO128", coco_names, tuple(in_folder(data / "coco128" / "images", every)))]
    general: list[LabelledImage] = []
    for source in VAL_SOURCES:
        images = labelled_by(source, data / "detection")
        if source.images.startswith("general_photos"):
            general += images
        else:
            sets.append(ImageSet(Path(source.images).parts[0], CLASS_NAMES, images))
    return [sets[0], ImageSet("general photographs", CLASS_NAMES, tuple(general)), *sets[1:]]


def labelled_by(source: Source, detection: Path) -> tuple[LabelledImage, ...]:
    return tuple(in_folder(detection / source.images, tuple(name in source.labelled for name in CLASS_NAMES)))


def in_folder(folder: Path, labelled: tuple[bool, ...]) -> Iterator[LabelledImage]:
    for image in sorted(folder.rglob("*")):
        if is_image_file(image):
            yield LabelledImage(image, label_path(image), labelled)


def taught(teacher: Teacher) -> DetectImage:
    def detect(frames: Iterable[Frame]) -> Iterator[tuple[Frame, Detections]]:
        for frame in frames:
            rows = teacher(frame.image)
            yield frame, Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype("i8"))

    return detect


def scores(images: ImageSet, model_names: tuple[str, ...], detect: DetectImage) -> DetectionScores:
    matched = matched_classes(images.class_names, model_names)
    found = scored_images(images.images, images.class_names, matched, detect)
    return score_detections(list(found), images.class_names, by_size=False)


def mean_ap50(found: DetectionScores) -> float:
    """Return the mean AP50 of the classes COMPARED, in percent."""
    return 100 * statistics.mean(found.by_class[name].ap50 for name in COMPARED)


def precision_table(reached: dict[tuple[str, str, int], DetectionScores]) -> Table:
    rows = Table("images", "model", title="AP50, in percent")
    for heading in ("px", *CLASS_NAMES, "mean of five"):
        rows.add_column(heading, justify="right")
    for (images, model, size), found in reached.items():
        each = [found.by_class[name] for name in CLASS_NAMES]
        cells = [f"{100 * one.ap50:.1f}" if one.truths else "" for one in each]
        whole = all(one.truths for one in each[:5])
        rows.add_row(images, model, str(size), *cells, f"{mean_ap50(found):.1f}" if whole else "")
    return rows


def tracks(data: Path, model: Path) -> list[Bar]:
    """Track persons in vtest.avi by each model, print the scores, and return the bars."""
    rows = Table("vtest.avi", title="Persons, default settings")
    for heading in ("HOTA", "MOTA", "IDF1", "id switches"):
        rows.add_column(heading, justify="right")
    reached = {}
    with tempfile.TemporaryDirectory() as folder:
        text, video = Path(folder, "PETS09-S2L1.txt"), str(data / "videos" / "vtest.avi")
        for name, weights in contenders(data, model).items():
            track_one(TrackOptions(sources=(video,), model=weights, tracks=(text,), classes=["person"], device="cpu"))
            found = reached[name] = evaluate_mot(data / "mot" / "MOT15" / "PETS09-S2L1", text).combined
            shares = (f"{share:.2f}" for share in (found.hota, found.mota, found.idf1))
            rows.add_row(name, *shares, str(found.id_switches))
    console.print(rows)
    ours = reached["embedded"]
    return [Bar("vtest.avi: HOTA", ours.hota, "≥", HOTA), Bar("vtest.avi: MOTA", ours.mota, "≥", MOTA)]


def speed(data: Path, model: Path) -> list[Bar]:
    """Print the frames per second of detectors alone and of runs that write a video, in turn; return the bar."""
    video = data / "videos" / "vtest.avi"
    frames, _, _ = read_frames(str(video))
    models = contenders(data, model)
    alone: dict[str, list[float]] = {name: [] for name in models}
    whole: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name, weights in models.items():
            detector = Detector(weights, device="cpu", precision="fp32")
            alone[name].append(detector_rate(detector, frames, SECONDS).rate_hz)
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder, "tracked.mp4")
                options = TrackOptions(sources=(str(video),), model=weights, out=(out,), device="cpu", precision="fp32")
                report = track_one(options)
            whole[name].append(report.frames / report.wall_s)
    rows = Table("vtest.avi, 640 px, fp32", "detector alone", "with video written", title="Frames per second, medians")
    for name in models:
        rows.add_row(name, f"{statistics.median(alone[name]):.1f}", f"{statistics.median(whole[name]):.1f}")
    console.print(rows)
    ratios = [ours / theirs for ours, theirs in zip(alone["embedded"], alone["yolov8n"], strict=True)]
    return [Bar("frames per second of the detector, by YOLOv8n's", statistics.median(ratios), "≥", LEAST_RATE)]


def contenders(data: Path, model: Path) -> dict[str, Path]:
    return {"embedded": model, "yolov8n": data / "weights" / "yolov8n.pt"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, default=EMBEDDED_MODEL)
    parser.add_argument("--only", type=lambda text: text.split(","), default=["precision", "tracks", "speed"])
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
