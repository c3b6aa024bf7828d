"""What a data set is made of: objects per class and the sizes of their boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamdet.data.check import SPLITS, DataReport
from streamdet.plots.figure import panels, save

_BAR = 0.4  # of the room of a class
_SIZES_PX = np.geomspace(1, 2048, 45)
_TILTED = 8  # classes from which on their names no longer fit side by side


def save_label_statistics(report: DataReport, png: Path) -> None:
    """Draw objects per class, and how large they are, of both splits to `png`.

    A size is the square root of a box's area in px. Raises MissingExtraError without matplotlib.
    """
    figure, (classes, sizes) = panels(2)
    names = report.spec.class_names
    places = np.arange(len(names))
    for offset, split in zip((-_BAR / 2, _BAR / 2), SPLITS, strict=True):
        counts, sides_px = report.objects_by_class(split), report.object_sides_px(split)
        label = f"{split}: {counts.sum()} in {len(report.usable(split))} images"
        classes.bar(places + offset, counts, _BAR, label=label)
        if len(sides_px):
            share = np.full(len(sides_px), 1 / len(sides_px))
            sizes.hist(sides_px, list(_SIZES_PX), weights=share, histtype="step", label=split)
    classes.set_xticks(places, names, rotation=90 if len(names) > _TILTED else 0)
    classes.set(ylabel="objects")
    classes.margins(y=0.25)  # room for the legend
    classes.legend()
    sizes.set(xscale="log", xlabel="root of the area, px", ylabel="share of objects")
    if sizes.patches:
        sizes.legend()
    save(figure, png)
