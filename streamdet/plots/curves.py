"""The course of a training: losses, scores and learning rate over its epochs."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from streamdet.errors import InputError
from streamdet.plots.figure import panels, save

PANELS = {"loss": ("box", "cls", "dfl"), "mAP": ("map50_95", "map50"), "learning rate": ("lr",)}
_COLUMNS = ("epoch", *(name for names in PANELS.values() for name in names))


def save_curves(results: Path, png: Path) -> None:
    """Draw the file `results`, a row per epoch with columns epoch, box, cls, dfl, map50_95, map50 and lr, to `png`.

    A field that is empty or nan, as the score of an epoch that was not scored, leaves its point out. Raises InputError
    for a file without these columns, MissingExtraError without matplotlib.
    """
    columns = _read(results)
    figure, axes = panels(len(PANELS), columns=3)
    from matplotlib.ticker import MaxNLocator

    for axis, (title, names) in zip(axes, PANELS.items(), strict=True):
        for name in names:
            points = [point for point in zip(columns["epoch"], columns[name], strict=True) if not math.isnan(point[1])]
            axis.plot([epoch for epoch, _ in points], [value for _, value in points], ".-", label=name)
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        if title != "learning rate":
            axis.legend()
        if title == "mAP":
            axis.set_ylim(bottom=0)
    save(figure, png)


def _read(results: Path) -> dict[str, list[float]]:
    try:
        with results.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
            return {name: [float(row[name] or "nan") for row in rows] for name in _COLUMNS}
    except KeyError as error:
        raise InputError(f"{results}: expected the columns {', '.join(_COLUMNS)}, found no {error.args[0]!r}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{results}: expected the results of a training, but they cannot be read: {error}") from None
