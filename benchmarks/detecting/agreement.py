"""Differences between the detections of a contender and those of torch in fp32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.detecting.contenders import Contender
from streamdet.boxes import box_iou
from streamdet.types import Detections, Float32Array, Frame

# Lowest scores of a detection, and of one that both must find. With the gap, a score near the limit is not missing.
LOWEST, SURE = 0.2, 0.25
SAME_IOU = 0.5  # lowest IoU of two boxes of a class that are the same object
# Another order of summation, in float32, moves a box by a thousandth of a pixel.
BOX_TOLERANCE_PX, SCORE_TOLERANCE = 0.01, 1e-4


@dataclass(frozen=True, slots=True)
class Agreement:
    """Differences of paired detections in px and in score, f32 (N,), and the number of detections without a partner."""

    apart_px: Float32Array
    scores_apart: Float32Array
    alone: int


def agreement(reference: Sequence[Detections], found: Sequence[Detections]) -> Agreement:
    """Compare detections of the same frames: the sure ones of each side with all of the other side."""
    both = list(zip(reference, found, strict=True))
    parts = [_differences(*each) for each in [*both, *((others, some) for some, others in both)]]
    px, scores = (np.concatenate(each) for each in list(zip(*parts, strict=True))[:2])
    return Agreement(px, scores, sum(alone for *_, alone in parts))


def detections(contender: Contender, frames: Sequence[Frame], size: int) -> list[Detections]:
    """Return the detections of `contender` in each of `frames`."""
    return [found for _, found in contender.detector(size, LOWEST).stream(frames)]


def agreement_table(agreements: dict[Contender, Agreement]) -> Table:
    """Return a row for each contender."""
    table = Table("", title=f"Beside torch fp32, scores from {SURE}", box=SIMPLE_HEAD)
    for heading in ("compared", "by one only", "px, median", "px, most", "score, median", "score, most"):
        table.add_column(heading, justify="right")
    for contender, each in agreements.items():
        figures = [f"{value:.2g}" for value in (*_middle_and_most(each.apart_px), *_middle_and_most(each.scores_apart))]
        table.add_row(contender.name, str(len(each.apart_px)), str(each.alone), *figures)
    return table


def agreement_bars(contender: Contender, found: Agreement) -> Iterator[Bar]:
    """Yield the bars for the differences of a contender in fp32."""
    if contender.precision == "fp32":
        (_, px), (_, score) = _middle_and_most(found.apart_px), _middle_and_most(found.scores_apart)
        yield Bar(f"{contender.name}: px from torch", px, "≤", BOX_TOLERANCE_PX)
        yield Bar(f"{contender.name}: score from torch", score, "≤", SCORE_TOLERANCE)
        yield Bar(f"{contender.name}: detections that only it or only torch makes", found.alone, "≤", 0)


def _differences(some: Detections, others: Detections) -> tuple[Float32Array, Float32Array, int]:
    """Compare the sure detections of `some` with their partners in `others`.

    Returns the differences in px and in score, f32 (N,) each, and the number of sure detections without a partner.
    """
    sure = np.flatnonzero(some.scores >= SURE)
    if not len(others):
        return np.empty(0, np.float32), np.empty(0, np.float32), len(sure)
    overlaps = box_iou(some.boxes[sure], others.boxes)
    overlaps *= some.class_ids[sure, None] == others.class_ids
    like = overlaps.argmax(1)
    paired = overlaps.max(1) >= SAME_IOU
    ours, theirs = sure[paired], like[paired]
    px = np.abs(some.boxes[ours] - others.boxes[theirs]).max(1, initial=0)
    return px, np.abs(some.scores[ours] - others.scores[theirs]), int((~paired).sum())


def _middle_and_most(values: Float32Array) -> tuple[float, float]:
    return (float(np.median(values)), float(values.max())) if len(values) else (0.0, 0.0)
