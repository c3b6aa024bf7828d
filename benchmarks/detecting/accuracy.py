"""Mean average precision of each contender on labelled images, and its loss against fp32."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.detecting.contenders import Contender
from streamdet.data.check import check
from streamdet.data.dataset import LabelledImage, read_dataset
from streamdet.errors import InputError
from streamdet.evaluate.det import DetectionScores, matched_classes, score_detections, scored_images

LOWEST = 0.001  # lowest score of a detection that counts
MOST_LOST = 0.5  # of 100 mAP50-95, by the backend that auto takes


class LabelledImages:
    """The readable validation images of a data file in YAML; raises InputError if there are none."""

    def __init__(self, data: Path) -> None:
        spec = read_dataset(data)
        self._class_names = spec.class_names
        self._images: tuple[LabelledImage, ...] = check(spec).usable("val")
        if not self._images:
            raise InputError(f"{data}: expected images in the split val, found none that can be used")

    def scores(self, contender: Contender, size: int) -> DetectionScores:
        """Return the scores of `contender`, with every image fitted into a square of `size` px."""
        detector = contender.detector((size, size), LOWEST)
        matched = matched_classes(self._class_names, detector.class_names)
        scored = scored_images(self._images, self._class_names, matched, detector.stream)
        return score_detections(list(scored), self._class_names, by_size=False)


def lost(reference: DetectionScores, scores: DetectionScores) -> float:
    """Return the mAP50-95 of `reference` minus that of `scores`, of 100."""
    return 100 * (reference.map50_95 - scores.map50_95)


def accuracy_table(reference: DetectionScores, scores: dict[Contender, DetectionScores]) -> Table:
    """Return a row for each contender, in percent."""
    table = Table("", title="Accuracy", box=SIMPLE_HEAD)
    for heading in ("mAP50-95", "mAP50", "mAP50-95 lost"):
        table.add_column(heading, justify="right")
    for contender, each in scores.items():
        shares = f"{100 * each.map50_95:.2f}", f"{100 * each.map50:.2f}", f"{lost(reference, each):.2f}"
        table.add_row(contender.name, *shares)
    return table


def accuracy_bar(reference: DetectionScores, scores: DetectionScores, taken: Contender) -> Bar:
    """Return the bar for the loss of `taken`, the contender that auto takes."""
    return Bar(f"{taken.name}, which auto takes: mAP50-95 lost", lost(reference, scores), "≤", MOST_LOST)
