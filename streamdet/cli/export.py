"""``streamdet export``: what the options mean, and what was written."""

from __future__ import annotations

from pathlib import Path

from streamdet.cli.console import stderr
from streamdet.config import IMAGE_SIZE_PX
from streamdet.errors import InputError
from streamdet.export.export import ExportOptions, export
from streamdet.inference.card import ModelCard, SuppressionCard
from streamdet.nms import Selection


def run(options: ExportOptions) -> None:
    """Export, and say where the file lies and what it takes."""
    path, card = export(options)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    size_mb = sum(file.stat().st_size for file in files) / 1e6
    stderr.print(f"wrote {path} ({size_mb:.1f} MB, {_described(card)})", markup=False, soft_wrap=True)


def input_hw(size: int | tuple[int, int] | None, dynamic: bool) -> tuple[int, int] | None:
    """Return the (height, width) to fix, None for any; raises InputError when both options were given."""
    if dynamic:
        if size is not None:
            raise InputError("expected --imgsz or --dynamic, found both")
        return None
    size = IMAGE_SIZE_PX if size is None else size
    return (size, size) if isinstance(size, int) else size


def suppression_of(conf: float, iou: float, max_det: int) -> SuppressionCard:
    """Return the suppression to put into the graph; raises InputError for what no detector can ask for."""
    Selection(conf, iou, max_det)
    return SuppressionCard(conf, iou, max_det)


def calibration_of(int8: bool, calibrate: Path | None) -> str | None:
    """Return the images to calibrate on; raises InputError when --int8 and --calibrate do not go together."""
    if int8 != (calibrate is not None):
        found = "--int8 alone" if int8 else "--calibrate alone"
        raise InputError(f"expected --int8 with --calibrate, a video or a folder of images like yours, found {found}")
    return None if calibrate is None else str(calibrate)


def _described(card: ModelCard) -> str:
    size = f"{card.input_hw[0]}x{card.input_hw[1]} px" if card.input_hw else "images of any size"
    return ", ".join([card.precision, size] + ["NMS inside"] * (card.suppression is not None))
