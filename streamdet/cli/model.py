"""``streamdet export``: what the options mean, and what was written."""

from __future__ import annotations

from streamdet.cli.console import stderr
from streamdet.cli.options import ExportOptions
from streamdet.errors import InputError
from streamdet.export.export import ExportOptions as Export
from streamdet.export.export import export
from streamdet.inference.card import ModelCard, SuppressionCard
from streamdet.options import IMAGE_SIZE_PX


def run(options: ExportOptions) -> None:
    """Export, and say where the file lies and what it takes; raises InputError."""
    path, card = export(
        Export(
            options.model,
            options.file_format,
            _input_hw(options),
            options.half,
            _calibration(options),
            SuppressionCard(options.conf, options.iou, options.max_det) if options.nms else None,
            options.out,
        )
    )
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    size_mb = sum(file.stat().st_size for file in files) / 1e6
    stderr.print(f"wrote {path} ({size_mb:.1f} MB, {_described(card)})", markup=False, soft_wrap=True)


def _input_hw(options: ExportOptions) -> tuple[int, int] | None:
    """Return the (height, width) to fix, None for any."""
    if options.dynamic and options.size is not None:
        raise InputError("expected --imgsz or --dynamic, found both")
    size = IMAGE_SIZE_PX if options.size is None else options.size
    return None if options.dynamic else (size, size) if isinstance(size, int) else size


def _calibration(options: ExportOptions) -> str | None:
    """Return the images to calibrate on."""
    if options.int8 != (options.calibrate is not None):
        found = "--int8 alone" if options.int8 else "--calibrate alone"
        raise InputError(f"expected --int8 with --calibrate, a video or a folder of images like yours, found {found}")
    return None if options.calibrate is None else str(options.calibrate)


def _described(card: ModelCard) -> str:
    size = f"{card.input_hw[0]}x{card.input_hw[1]} px" if card.input_hw else "images of any size"
    return ", ".join([card.precision, size] + ["NMS inside"] * (card.suppression is not None))
