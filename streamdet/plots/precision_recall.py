"""Precision over recall, a curve for each class."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from streamdet.evaluate.det import RECALLS, DetectionScores
from streamdet.plots.figure import panels, save

_NAMED = 12  # classes that still tell apart by colour


def save_precision_recall(scores: DetectionScores, png: Path) -> None:
    """Draw the curves at IoU 0.5 of all classes with objects, and their mean, to `png`.

    Where there are many classes only their mean is named. Raises MissingExtraError without matplotlib.
    """
    classes = {name: each for name, each in scores.by_class.items() if each.truths}
    figure, (axis,) = panels(1)
    for name, each in classes.items():
        named = len(classes) <= _NAMED
        label, color = (f"{name} {each.ap50:.3f}", None) if named else (None, "lightgrey")
        axis.plot(RECALLS, each.curve, linewidth=1, label=label, color=color)
        if not math.isnan(each.threshold):
            axis.plot(each.recall, each.precision, ".", color=axis.lines[-1].get_color())
    if classes:
        mean = np.mean([each.curve for each in classes.values()], 0)
        axis.plot(RECALLS, mean, color="black", linewidth=2, label=f"all {scores.map50:.3f}")
        axis.legend(title="AP50; dots: best F1", fontsize="small", loc="upper left", bbox_to_anchor=(1.02, 1))
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    save(figure, png)
