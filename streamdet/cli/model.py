"""``streamdet model info``, the layers and the size of a model, and ``streamdet export``, a file for other runtimes."""

from __future__ import annotations

from typing import Literal

from rich.markup import escape

from streamdet.cli.console import stderr, stdout, table
from streamdet.cli.options import ExportOptions
from streamdet.errors import InputError
from streamdet.export import ExportJob, export
from streamdet.inference.session import ModelCard
from streamdet.models.summary import describe
from streamdet.options import ThresholdOptions


def print_model(name: str, arch: str | None) -> None:
    """Print the layers of a model and its size, FLOPs included; `arch` is that of weights that are only tensors."""
    model = describe(name, arch)
    rows = table("#", "from", "repeats", "parameters", "module", "arguments", left=("module", "arguments"))
    for row in model.rows:
        sources = ", ".join(str(source) for source in row.sources)
        arguments = ", ".join(str(argument) for argument in row.args)
        rows.add_row(str(row.index), sources, str(row.repeats), f"{row.parameters:,}", row.block, escape(arguments))
    stdout.print(rows)
    size = model.summary
    points = "" if model.kpt_shape is None else "{} key points of {} numbers, ".format(*model.kpt_shape)
    stdout.print(
        f"{model.name}: {size.layers} layers, {size.parameters:,} parameters, {size.gradients:,} gradients, "
        f"{size.gflops:.1f} GFLOPs at 640x640; {model.task}, {len(model.class_names)} classes, {points}"
        f"strides {', '.join(str(stride) for stride in model.strides_px)}",
        markup=False,
        soft_wrap=True,
    )


def export_model(options: ExportOptions) -> None:
    """Export a model, and print where the file is and what input it takes; raises InputError."""
    path, card = export(
        ExportJob(
            model=options.model,
            file_format=options.file_format,
            input_hw=_input_hw(options),
            half=options.half,
            calibration=_calibration(options),
            suppression=_suppression(options),
            out=options.out,
            arch=options.arch,
            labels=options.labels or 1,
        )
    )
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    size_mb = sum(file.stat().st_size for file in files) / 1e6
    stderr.print(f"wrote {path} ({size_mb:.1f} MB, {_properties(card)})", markup=False, soft_wrap=True)


def _suppression(options: ExportOptions) -> ThresholdOptions | None:
    """Return the thresholds of the NMS inside the exported model, None without NMS."""
    return ThresholdOptions(conf=options.conf, iou=options.iou, max_det=options.max_det) if options.nms else None


def _input_hw(options: ExportOptions) -> tuple[int, int] | Literal["usual"] | None:
    """Return the only (height, width) in px that the exported model takes, see `ExportJob`."""
    if options.dynamic and options.size is not None:
        raise InputError("expected --imgsz or --dynamic, found both")
    if options.size is None:
        return None if options.dynamic else "usual"
    return (options.size, options.size) if isinstance(options.size, int) else options.size


def _calibration(options: ExportOptions) -> str | None:
    """Return the source of the images for int8 calibration, None without int8."""
    if options.int8 != (options.calibrate is not None):
        found = "--int8 alone" if options.int8 else "--calibrate alone"
        raise InputError(f"expected --int8 with --calibrate, a video or a folder of images like yours, found {found}")
    return None if options.calibrate is None else str(options.calibrate)


def _properties(card: ModelCard) -> str:
    size = f"{card.input_hw[0]}x{card.input_hw[1]} px" if card.input_hw else "images of any size"
    return ", ".join([card.precision, size] + ["NMS inside"] * (card.suppression is not None))
