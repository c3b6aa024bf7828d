"""Makes figures without a window and without state that outlives them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from streamdet.errors import MissingExtraError, OutputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 120
_PANEL_IN = (5.0, 3.6)  # width, height


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
