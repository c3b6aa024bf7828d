"""The report on a data set, which ``streamdet train`` prints too, and ``streamdet eval det``, the scores of a model."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.markup import escape
from rich.progress import Progress, track
from rich.table import Table

from streamdet.cli.console import stderr, stdout, table, warn
from streamdet.cli.options import EvalOptions
from streamdet.data.check import SPLITS, DataReport, Finding, check
from streamdet.data.dataset import Dataset, LabelledImage, Split, read_dataset
from streamdet.detect.detector import Detector
from streamdet.errors import InputError, MissingExtraError
from streamdet.evaluate.classify import ClassificationScores, score_classification
from streamdet.evaluate.det import RECALLS, DetectionScores, matched_classes, score_detections, scored_images
from streamdet.evaluate.measures import TASK_MEASURES
from streamdet.files import replacing, weights_files
from streamdet.inference.session import Session
from streamdet.output_file import require_distinct
from streamdet.plots import save_precision_recall
from streamdet.types import Float32Array

_SCORES, _CURVES = "scores.json", "precision_recall.png"  # the files of --out
_BROKEN = ("broken image", "unreadable")  # kinds of findings that leave an image out
_NAMED = 20  # broken files that are named; the rest is counted


def checked_data(dataset: Dataset) -> DataReport:
    """Return the report of `check` on the data set, with a progress bar on a terminal."""
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task("checking images", total=len(dataset.train) + len(dataset.val))
        return check(dataset, lambda: progress.advance(task))


def print_data_report(report: DataReport) -> None:
    """Print the numbers and sizes of images and objects, then the problems, then the files that are left out."""
    stdout.print(_contents_table(report))
    found = {split: list(report.findings(split)) for split in SPLITS}
    if any(found.values()):
        stdout.print(_problems_table(found))
    broken = [each for split in SPLITS for each in found[split] if each.kind in _BROKEN]
    for finding in broken[:_NAMED]:
        stdout.print(f"left out: {finding.path}: {finding.detail}", markup=False, soft_wrap=True)
    if len(broken) > _NAMED:
        stdout.print(f"left out: {len(broken) - _NAMED} more")


def _contents_table(report: DataReport) -> Table:
    rows = table("", *SPLITS, left=("",))
    counts = {split: report.objects_by_class(split).tolist() for split in SPLITS}
    rows.add_row("images", *(str(len(report.images(split))) for split in SPLITS))
    rows.add_row("  usable", *(str(len(report.usable(split))) for split in SPLITS))
    rows.add_row("  longer side, px", *(_spread(report.image_sides_px(split)) for split in SPLITS))
    rows.add_row("objects", *(str(sum(counts[split])) for split in SPLITS))
    rows.add_row("  root of area, px", *(_spread(report.object_sides_px(split)) for split in SPLITS))
    for class_id, name in enumerate(report.dataset.class_names):
        rows.add_row(f"  {escape(name)}", *(_count(report, split, counts[split][class_id]) for split in SPLITS))
    return rows


def _count(report: DataReport, split: Split, objects: int) -> str:
    """Return the number of objects of a class; 0 is highlighted, as the class can neither be learned nor scored."""
    return f"[yellow]{objects}[/]" if not objects and report.images(split) else str(objects)


def _problems_table(found: dict[Split, list[Finding]]) -> Table:
    rows = table("found", *SPLITS, "for example", left=("found", "for example"))
    examples = {each.kind: each for split in reversed(SPLITS) for each in reversed(found[split])}
    for kind, example in sorted(examples.items()):
        counts = (str(sum(each.kind == kind for each in found[split])) for split in SPLITS)
        rows.add_row(kind, *counts, escape(f"{example.path}: {example.detail}".removesuffix(": ")))
    return rows


def _spread(values: Float32Array) -> str:
    """Return the minimum, median and maximum of `values`."""
    if not len(values):
        return "-"
    return " / ".join(f"{value:.0f}" for value in (values.min(), np.median(values), values.max()))


def run(options: EvalOptions) -> None:
    """Detect in all images of the split, print the scores per class and size, and write them to `options.out`."""
    _require("pycocotools", *(["matplotlib"] if options.out else []))
    cv2.setNumThreads(1)
    detector = Detector(
        options.model,
        device=options.device,
        backend=options.backend,
        precision=options.precision,
        size=options.size,
        conf=options.conf,
        iou=options.iou,
        nms=options.nms,
        agnostic=options.agnostic,
        max_det=options.max_det,
        batch=16,
        arch=options.arch,
        labels=options.labels,
    )
    session = detector.session
    task = session.card.task
    images, class_names = _usable_images(options, task)
    matched = matched_classes(class_names, detector.class_names)
    if options.out:
        _make_folder(options.out)
        read = {"DATA": [options.data], "--model": weights_files(options.model)} if options.model else {}
        require_distinct(read, {name: [options.out / name] for name in (_SCORES, _CURVES)})
    _warn_of_classes(class_names, detector.class_names)
    scored = scored_images(images, class_names, matched, detector.stream)
    with_bar = track(scored, "detecting", len(images), console=stderr, transient=True, disable=not stderr.is_terminal)
    found = list(with_bar)
    if task == "classify":
        accuracy = score_classification(found, class_names)
        _print_accuracy(accuracy)
        if options.out:
            _write_json(options, session, options.out / _SCORES, asdict(accuracy), len(images))
        return
    scores = {measure: score_detections(found, class_names, by=measure) for measure in TASK_MEASURES[task]}
    for measure, each in scores.items():
        if len(scores) > 1:
            stdout.print(f"{measure}:")
        print_scores(each)
    if options.out:
        _write_scores(options, session, options.out, scores, len(images))


def _print_accuracy(scores: ClassificationScores) -> None:
    """Print how often the class of an image is the most probable one, or among the five most probable, in percent."""
    rows = table("class", "images", "top-1", "top-5", left=("class",))
    for name, each in scores.by_class.items():
        if each.images:
            rows.add_row(escape(name), str(each.images), _percent(each.top1), _percent(each.top5))
    total = sum(each.images for each in scores.by_class.values())
    rows.add_row("all", str(total), _percent(scores.top1), _percent(scores.top5))
    stdout.print(rows)


def print_scores(scores: DetectionScores) -> None:
    """Print the scores of every class, their means, and the average precision by object size, in percent."""
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
    """Raise MissingExtraError if one of the `packages` is not installed."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(package, "train")


def _usable_images(options: EvalOptions, task: str) -> tuple[tuple[LabelledImage, ...], tuple[str, ...]]:
    """Return the images of the split that can be read, and the class names of the data; raises InputError for none."""
    dataset = read_dataset(options.data, task)
    report = checked_data(replace(dataset, val=()) if options.split == "train" else replace(dataset, train=()))
    for finding in report.findings(options.split):
        if finding.kind in _BROKEN:
            warn(f"left out: {finding.path}: {finding.detail}")
    # Sorted by size: a detector prepares itself again whenever the size changes.
    by_size = sorted(report.images(options.split), key=lambda image: (image.facts.height_px, image.facts.width_px))
    images = tuple(image.files for image in by_size if image.usable)
    if not images:
        raise InputError(f"{options.data}: expected images in the split {options.split}, found none that can be used")
    return images, dataset.class_names


def _warn_of_classes(class_names: Sequence[str], model_names: Sequence[str]) -> None:
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


def _write_scores(
    options: EvalOptions, session: Session, out: Path, scores: dict[str, DetectionScores], images: int
) -> None:
    """Write the scores by the first measure with their curves, and those by others under their names."""
    first, *others = scores
    content = asdict(scores[first]) | {name: asdict(scores[name]) for name in others}
    _write_json(options, session, out / _SCORES, content | {"recalls": RECALLS}, images)
    save_precision_recall(scores[first], out / _CURVES)
    stdout.print(f"wrote {out / _SCORES} and {out / _CURVES}", soft_wrap=True, markup=False)


def _write_json(options: EvalOptions, session: Session, path: Path, scores: dict[str, Any], images: int) -> None:
    content = {
        "data": str(options.data),
        "split": options.split,
        "model": str(options.model),
        "backend": session.name,
        "precision": session.precision,
        "images": images,
        **scores,
    }
    with replacing(path) as partial:
        partial.write_text(json.dumps(_to_json(content), indent=1) + "\n", encoding="utf-8")


def _to_json(value: Any) -> Any:
    """Return `value` with arrays as lists and nan as None, which JSON has no number for."""
    if isinstance(value, dict):
        return {key: _to_json(each) for key, each in value.items()}
    if hasattr(value, "tolist"):
        return [_to_json(each) for each in value.tolist()]
    return None if isinstance(value, float) and math.isnan(value) else value


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
