"""``streamdet export``: weights in, an ONNX file or an OpenVINO folder out."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamdet.errors import InputError, OutputError
from streamdet.export.calibration import calibration_images
from streamdet.export.openvino_model import write_openvino
from streamdet.inference.card import ModelCard, SuppressionCard
from streamdet.inference.onnx_graph import onnx_graph
from streamdet.models.weights import LoadedModel, load_model

Format = Literal["onnx", "openvino"]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to write: images of `input_hw` px, one at a time, or any number of any size when it is None.

    `half` keeps 16-bit weights; with `calibration`, a video or a folder of images, the model computes in int8, rounded
    so that it fits these images. `suppression` puts NMS inside. Without `out` the file goes beside the weights.
    """

    model: Path
    file_format: Format
    input_hw: tuple[int, int] | None = None
    half: bool = False
    calibration: str | None = None
    suppression: SuppressionCard | None = None
    out: Path | None = None


def export(options: ExportOptions) -> tuple[Path, ModelCard]:
    """Write the model and return where it lies and what it says about itself; raises InputError, OutputError."""
    if options.half and options.calibration:
        raise InputError("expected half precision or int8, found both")
    if options.calibration and options.file_format != "openvino":
        raise InputError("int8 is written in the format openvino only: ONNX Runtime gains nothing from it on most CPUs")
    if options.calibration and options.suppression:
        raise InputError("expected int8 or NMS inside, found both: what makes a model int8 cannot read the loop of NMS")
    if options.suppression and not options.suppression.conf > 0:
        raise InputError("NMS inside a graph needs a lowest score above 0: rows with the score 0 are empty")
    model = load_model(options.model)
    card = _card(model, options)
    out = options.out or options.model.with_name(_default_name(options.model, card, options.file_format))
    _check_out(out, options.file_format)
    images = calibration_images(options.calibration, card) if options.calibration else None
    try:
        if options.file_format == "onnx":
            _write(out, onnx_graph(model, card))
        else:
            write_openvino(onnx_graph(model, card), card, out, images)
    except OSError as error:
        raise OutputError(f"{out}: the model cannot be written: {error.strerror or error}") from None
    return out, card


def _card(model: LoadedModel, options: ExportOptions) -> ModelCard:
    for side in options.input_hw or ():
        if side < model.stride or side % model.stride:
            shown = "x".join(map(str, options.input_hw or ()))
            raise InputError(f"image size must be positive multiples of the model's stride {model.stride}, got {shown}")
    precision: Literal["fp32", "fp16", "int8"] = "int8" if options.calibration else "fp16" if options.half else "fp32"
    return ModelCard(model.class_names, model.stride, options.input_hw, precision, options.suppression)


def _default_name(model: Path, card: ModelCard, file_format: Format) -> str:
    precision = "" if card.precision == "fp32" else f"_{card.precision}"
    return f"{model.stem}{precision}.onnx" if file_format == "onnx" else f"{model.stem}{precision}_openvino"


def _check_out(out: Path, file_format: Format) -> None:
    """Raise InputError before any work is done for a place that the model cannot be written to."""
    if not out.parent.is_dir():
        raise InputError(f"expected a place to write a model, but the folder {out.parent} does not exist")
    if file_format == "onnx" and (out.suffix != ".onnx" or out.is_dir()):
        raise InputError(f"expected a file name that ends with .onnx, found {str(out)!r}")
    if file_format == "openvino" and out.exists() and not out.is_dir():
        raise InputError(f"expected a folder for model.xml and model.bin, found the file {out}")


def _write(out: Path, content: bytes) -> None:
    """Write a file under another name and rename it, so that an earlier one of its name is never half replaced."""
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        partial = Path(folder, out.name)
        partial.write_bytes(content)
        partial.replace(out)
