"""``streamdet eval det``: scores a detector on labelled images."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
from rich.markup import escape
from rich.progress import track

from streamdet.cli.console import stderr, stdout, warn
from streamdet.cli.data_report import checked
from streamdet.cli.options import EvalOptions
from streamdet.cli.table import table
from streamdet.data.spec import LabelledImage, read_data_spec
from streamdet.detect.detector import Detector
from streamdet.errors import InputError, MissingExtraError
from streamdet.evaluate.det import RECALLS, DetectionScores, score_detections
from streamdet.evaluate.det_images import matched_classes, scored_images
from streamdet.plots.precision_recall import save_precision_recall


def run(options: EvalOptions) -> DetectionScores:
    """Detect in all images of the split, print the scores per class and size, and write them if asked to."""
    _require("pycocotools", *(["matplotlib"] if options.out else []))
    cv2.setNumThreads(1)
    images, class_names = _images(options)
    detector = Detector(
        options.model,
        device=options.device,
        size=options.size,
        conf=options.conf,
        iou=options.iou,
        agnostic=options.agnostic,
        max_det=options.max_det,
        batch=16,
    )
    matched = matched_classes(class_names, detector.class_names)
    if options.out:
        _make_folder(options.out)
    _print_unknown(class_names, detector.class_names)
    scored = scored_images(images, class_names, matched, detector.stream)
    hidden = not stderr.is_terminal
    scores = score_detections(
        list(track(scored, "detecting", len(images), console=stderr, transient=True, disable=hidden)), class_names
    )
    print_scores(scores)
    if options.out:
        _write(options, scores, len(images))
    return scores


def print_scores(scores: DetectionScores) -> None:
    """Print the scores of every class, their means, and average precision by size, in percent."""
    rows = table("class", "objects", "AP50-95", "AP50", "AP75", "precision", "recall", "at score", left=("class",))
    for name, each in scores.by_class.items():
        if each.truths:
            shares = (each.ap50_95, each.ap50, each.ap75, each.precision, each.recall)
            rows.add_row(escape(name), str(each.truths), *map(_percent, shares), _number(each.threshold))
    means = (scores.map50_95, scores.map50, scores.map75)
    rows.add_row("all", str(sum(each.truths for each in scores.by_class.values())), *map(_percent, means))
    stdout.print(rows)
    sizes = ", ".join(f"{size} {_percent(value)}" for size, value in scores.by_size.items())
    stdout.print(f"AP50-95 by size (up to 32, 96 px, larger): {sizes}", soft_wrap=True)


def _require(*packages: str) -> None:
    """Raise MissingExtraError before the work begins rather than after it."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(package, "train")


def _images(options: EvalOptions) -> tuple[tuple[LabelledImage, ...], tuple[str, ...]]:
    spec = read_data_spec(options.data)
    report = checked(replace(spec, val=()) if options.split == "train" else replace(spec, train=()))
    for finding in report.findings(options.split):
        if finding.kind in ("broken image", "unreadable"):
            warn(f"left out: {finding.path}: {finding.detail}")
    # Images of one size in a row: a detector prepares itself anew for every other.
    by_size = sorted(report.images(options.split), key=lambda image: (image.facts.height_px, image.facts.width_px))
    images = tuple(image.files for image in by_size if image.usable)
    if not images:
        raise InputError(f"{options.data}: expected images in the split {options.split}, found none that can be used")
    return images, spec.class_names


def _print_unknown(class_names: Sequence[str], model_names: Sequence[str]) -> None:
    unknown = [name for name in class_names if name not in model_names]
    surplus = len(set(model_names) - set(class_names))
    if unknown:
        warn(f"the model does not know {', '.join(unknown)}: left out of all scores")
    if surplus:
        stderr.print(f"{surplus} classes of the model are not in the data: what it finds of them is left out")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"expected a folder to write to, but {folder} is none: {error.strerror}") from None


def _write(options: EvalOptions, scores: DetectionScores, images: int) -> None:
    assert options.out is not None
    content = {
        "data": str(options.data),
        "split": options.split,
        "model": str(options.model),
        "images": images,
        **asdict(scores),
        "recalls": RECALLS,
    }
    json_file, png = options.out / "scores.json", options.out / "precision_recall.png"
    json_file.write_text(json.dumps(_plain(content), indent=1) + "\n", encoding="utf-8")
    save_precision_recall(scores, png)
    stdout.print(f"wrote {json_file} and {png}", soft_wrap=True, markup=False)


def _plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: arrays as lists, nan as null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if hasattr(value, "tolist"):
        return [_plain(each) for each in value.tolist()]
    return None if isinstance(value, float) and math.isnan(value) else value


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
