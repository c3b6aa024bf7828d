"""Plots of data sets, trainings and scores, as PNG files.

Matplotlib figures are made without ``pyplot``: they open no window and leave no global state.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamdet.data.check import SPLITS, DataReport
from streamdet.draw import draw_detections
from streamdet.errors import InputError, MissingExtraError, OutputError
from streamdet.evaluate.det import RECALLS, DetectionScores
from streamdet.types import Detections, UInt8Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_DPI = 120
_PANEL_IN = (5.0, 3.6)  # width, height

BATCH_IMAGES = 16
_BATCH_LONGER_SIDE_PX = 1920

_COLUMNS = ("epoch", "lr")  # of the results of a training, beside losses and scores
_SCORES = ("map50_95", "map50", "top1", "top5")  # ends of the names of scores

_LABELS_BAR = 0.4  # of the space of a class
_LABELS_SIZES_PX = np.geomspace(1, 2048, 45)
_LABELS_UPRIGHT = 8  # more class names are rotated to fit side by side

_PR_COLOURED = 12  # more classes cannot be told apart by colour


def panels(count: int, columns: int = 2) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` axes in rows of `columns`; raises MissingExtraError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "train") from None
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure((columns * _PANEL_IN[0], rows * _PANEL_IN[1]), _DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, place + 1) for place in range(count)]
    for each in axes:
        each.grid(alpha=0.3)
    return figure, axes


def save(figure: Figure, png: Path) -> None:
    """Write `figure` to `png`; raises OutputError when it cannot be written."""
    try:
        figure.savefig(png, format="png")
    except OSError as error:
        raise OutputError(f"writing a plot to {png} failed: {error.strerror}") from error


def save_batch(images: UInt8Array, objects: Sequence[Detections], png: Path) -> None:
    """Draw the first 16 of `images` uint8 (B, H, W, 3) RGB, with the `objects` of each, side by side to `png`.

    Raises OutputError when `png` cannot be written.
    """
    pairs = zip(images[:BATCH_IMAGES], objects[:BATCH_IMAGES], strict=True)
    tiles = [draw_detections(image, detections) for image, detections in pairs]
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    height, width = images.shape[1:3]
    mosaic = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * height, place % columns * width
        mosaic[top : top + height, left : left + width] = tile
    scale = min(1.0, _BATCH_LONGER_SIDE_PX / max(mosaic.shape))
    small = cv2.resize(mosaic, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
    try:
        png.write_bytes(encoded.tobytes())
    except OSError as error:
        raise OutputError(f"writing a picture to {png} failed: {error.strerror}") from error


def save_curves(results: Path, png: Path) -> None:
    """Draw the losses, scores and learning rate of a training over its epochs to `png`.

    The CSV file `results` has a row per epoch, with the columns epoch and lr, some for scores such as map50_95, and one
    for each part of the loss. An empty field or nan, as the score of an epoch that was not scored, has no point. Raises
    InputError for a file without these columns, MissingExtraError without matplotlib, OutputError when `png` cannot be
    written.
    """
    columns = _read_results(results)
    scores = [name for name in columns if name.endswith(_SCORES)]
    losses = [name for name in columns if name not in (*_COLUMNS, *scores)]
    curves = {"loss": losses, "scores": scores, "learning rate": ["lr"]}
    figure, axes = panels(len(curves), columns=3)
    from matplotlib.ticker import MaxNLocator

    for axis, (title, names) in zip(axes, curves.items(), strict=True):
        for name in names:
            points = [point for point in zip(columns["epoch"], columns[name], strict=True) if not math.isnan(point[1])]
            axis.plot([epoch for epoch, _ in points], [value for _, value in points], ".-", label=name)
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if title != "learning rate":
            axis.legend()
        if title == "scores":
            axis.set_ylim(bottom=0)
    save(figure, png)


def _read_results(results: Path) -> dict[str, list[float]]:
    try:
        with results.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            rows, names = list(reader), reader.fieldnames or ()
            columns = {name: [float(row[name] or "nan") for row in rows] for name in names}
    except (OSError, ValueError) as error:
        raise InputError(f"{results}: expected the results of a training, but they cannot be read: {error}") from None
    if missing := [name for name in _COLUMNS if name not in columns]:
        raise InputError(f"{results}: expected the columns {', '.join(_COLUMNS)}, found no {missing[0]!r}")
    if not any(name.endswith(_SCORES) for name in columns):
        raise InputError(f"{results}: expected a column of scores such as map50_95, found none")
    return columns


def save_label_statistics(report: DataReport, png: Path) -> None:
    """Draw the number of objects per class and the distribution of their sizes, for both splits, to `png`.

    A size is the square root of a box's area in px. Raises MissingExtraError without matplotlib, OutputError when `png`
    cannot be written.
    """
    figure, (classes, sizes) = panels(2)
    names = report.dataset.class_names
    places = np.arange(len(names))
    for offset, split in zip((-_LABELS_BAR / 2, _LABELS_BAR / 2), SPLITS, strict=True):
        counts, sides_px = report.objects_by_class(split), report.object_sides_px(split)
        label = f"{split}: {counts.sum()} in {len(report.usable(split))} images"
        classes.bar(places + offset, counts, _LABELS_BAR, label=label)
        if len(sides_px):
            share = np.full(len(sides_px), 1 / len(sides_px))
            sizes.hist(sides_px, list(_LABELS_SIZES_PX), weights=share, histtype="step", label=split)
    classes.set_xticks(places, names, rotation=90 if len(names) > _LABELS_UPRIGHT else 0)
    classes.set(ylabel="objects")
    classes.margins(y=0.25)  # space for the legend
    classes.legend()
    sizes.set(xscale="log", xlabel="root of the area, px", ylabel="share of objects")
    if sizes.patches:
        sizes.legend()
    save(figure, png)


def save_precision_recall(scores: DetectionScores, png: Path) -> None:
    """Draw precision over recall at IoU 0.5 for every class with objects, and the mean of these curves, to `png`.

    With more than 12 classes only the mean is in the legend. Raises MissingExtraError without matplotlib, OutputError
    when `png` cannot be written.
    """
    classes = {name: each for name, each in scores.by_class.items() if each.truths}
    figure, (axis,) = panels(1)
    for name, each in classes.items():
        coloured = len(classes) <= _PR_COLOURED
        label, color = (f"{name} {each.ap50:.3f}", None) if coloured else (None, "lightgrey")
        axis.plot(RECALLS, each.curve, linewidth=1, label=label, color=color)
        if not math.isnan(each.threshold):
            axis.plot(each.recall, each.precision, ".", color=axis.lines[-1].get_color())
    if classes:
        mean = np.mean([each.curve for each in classes.values()], 0)
        axis.plot(RECALLS, mean, color="black", linewidth=2, label=f"all {scores.map50:.3f}")
        axis.legend(title="AP50; dots: best F1", fontsize="small", loc="upper left", bbox_to_anchor=(1.02, 1))
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    save(figure, png)
