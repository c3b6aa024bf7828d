"""``streamdet export``: weights in, an ONNX file or an OpenVINO folder out, in fp32, fp16 or int8."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from streamdet.detect.tasks import task_from
from streamdet.errors import InputError, MissingExtraError, OutputError, shown
from streamdet.files import path_kind, replacing, weights_files
from streamdet.inference.graph import model_card, onnx_graph
from streamdet.inference.openvino import import_openvino, openvino_core
from streamdet.inference.session import KEY, ModelCard, SuppressionCard
from streamdet.letterbox import letterboxed
from streamdet.models.weights import LoadedModel, load_model
from streamdet.options import ThresholdOptions
from streamdet.output_file import require_distinct
from streamdet.types import UInt8Array
from streamdet.video.location import files_at
from streamdet.video.source import open_source

# As many as NNCF uses by default; ranges hardly change with more.
CALIBRATION_IMAGES = 300
LIVE_INTERVAL = 10  # every so many frames of a source of unknown length are used
# Convolutions of maps with cells smaller than this, in px of the image, are not rounded to int8.
FINEST_INT8_PX = 8
_OPENVINO_FILES = ("model.bin", "model.xml")  # the second refers to the first

Format = Literal["onnx", "openvino"]


@dataclass(frozen=True, slots=True)
class ExportJob:
    """The model to write, and how.

    - `model`: the weights file.
    - `file_format`: the format to write.
    - `input_hw`: the height and width in px of the one image that it takes, "usual" for those of its task, None for any
      number of images of any size.
    - `half`: whether to store 16-bit weights.
    - `calibration`: a video or a folder of images, for a model that computes in int8, rounded to fit these images.
    - `suppression`: the thresholds of the greedy NMS to put inside, None for a model without.
    - `out`: the file or folder to write, None for one beside the weights.
    - `arch`: the architecture of weights that are only tensors.
    - `labels`: how many classes a box may have.
    """

    model: Path
    file_format: Format
    input_hw: tuple[int, int] | Literal["usual"] | None = None
    half: bool = False
    calibration: str | None = None
    suppression: ThresholdOptions | None = None
    out: Path | None = None
    arch: str | None = None
    labels: int = 1


def export(options: ExportJob) -> tuple[Path, ModelCard]:
    """Write the model and return its path and its card; raises InputError and OutputError."""
    if options.half and options.calibration:
        raise InputError("expected half precision or int8, found both")
    if options.calibration and options.file_format != "openvino":
        raise InputError("int8 is written in the format openvino only: ONNX Runtime gains nothing from it on most CPUs")
    if options.calibration and options.suppression:
        raise InputError("expected int8 or NMS inside, found both: what makes a model int8 cannot read the loop of NMS")
    if options.suppression and not options.suppression.conf > 0:
        raise InputError("NMS inside a graph needs a lowest score above 0: rows with the score 0 are empty")
    model = load_model(options.model, options.arch)
    card = _card(model, options)
    out = options.out or options.model.with_name(_default_name(options.model, card, options.file_format))
    _check_out(out, options)
    images = calibration_images(options.calibration, card) if options.calibration else None
    try:
        graph = onnx_graph(model, card)
        if options.file_format == "openvino":
            write_openvino(graph, card, out, images)
        else:
            with replacing(out) as partial:
                partial.write_bytes(graph)
    except OSError as error:
        raise OutputError(f"{out}: the model cannot be written: {error.strerror or error}") from None
    return out, card


def _card(model: LoadedModel, options: ExportJob) -> ModelCard:
    usual = task_from(model_card(model)).size_px
    input_hw = (usual, usual) if options.input_hw == "usual" else options.input_hw
    for side in input_hw or ():
        if side < model.stride or side % model.stride:
            shown = "x".join(map(str, input_hw or ()))
            raise InputError(f"image size must be positive multiples of the model's stride {model.stride}, got {shown}")
    precision: Literal["fp32", "fp16", "int8"] = "int8" if options.calibration else "fp16" if options.half else "fp32"
    if options.suppression and model.spec.task == "classify":
        raise InputError("NMS inside a graph needs a model that finds boxes, found one for the task classify")
    iou, inside = model.iou, options.suppression
    if inside:
        iou = iou if inside.iou is None else inside.iou
    suppression = SuppressionCard(inside.conf, iou, inside.max_det) if inside else None
    properties = {"suppression": suppression, "iou": iou, "labels": options.labels}
    return model_card(model, input_hw=input_hw, precision=precision, **properties)


def _default_name(model: Path, card: ModelCard, file_format: Format) -> str:
    precision = "" if card.precision == "fp32" else f"_{card.precision}"
    return f"{model.stem}{precision}.onnx" if file_format == "onnx" else f"{model.stem}{precision}_openvino"


def _check_out(out: Path, options: ExportJob) -> None:
    """Raise InputError if the model cannot be written to `out`, before any work is done."""
    file_format = options.file_format
    if path_kind(out.parent) != "folder":
        raise InputError(f"expected a place to write a model, but the folder {out.parent} does not exist")
    if file_format == "onnx" and (out.suffix != ".onnx" or path_kind(out) == "folder"):
        raise InputError(f"expected a file name that ends with .onnx, found {shown(str(out))}")
    if file_format == "openvino" and path_kind(out) == "file":
        raise InputError(f"expected a folder for model.xml and model.bin, found the file {out}")
    written = {"--out": [out]} if file_format == "onnx" else {name: [out / name] for name in _OPENVINO_FILES}
    read = {"MODEL": weights_files(options.model), "--calibrate": files_at(options.calibration or "")}
    require_distinct(read, written)


def write_openvino(graph: bytes, card: ModelCard, folder: Path, images: Sequence[UInt8Array] | None) -> None:
    """Write the ONNX `graph` to `folder`, with `card` in its metadata, in int8 if there are `images` to calibrate on.

    Raises MissingExtraError, and OSError when the folder cannot be written.
    """
    openvino = import_openvino()
    model = openvino_core().read_model(io.BytesIO(graph))
    if images is not None:
        model = quantized(model, images)
    model.set_rt_info(card.to_json(), ["framework", KEY])
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as partial:
        openvino.save_model(model, Path(partial, "model.xml"), compress_to_fp16=False)
        for name in _OPENVINO_FILES:
            Path(partial, name).replace(folder / name)


def calibration_images(source: str, card: ModelCard) -> list[UInt8Array]:
    """Return up to 300 images uint8 (1, H, W, 3), spread over a source, fitted as by the detector; or InputError."""
    with open_source(source) as opened:
        count = opened.info.frame_count or LIVE_INTERVAL * CALIBRATION_IMAGES
    with open_source(source, every=max(1, count // CALIBRATION_IMAGES), max_frames=CALIBRATION_IMAGES) as frames:
        return [_fitted(frame.image, card) for frame in frames]


def _fitted(image: UInt8Array, card: ModelCard) -> UInt8Array:
    task = task_from(card)
    letterbox = task.fits.fit(image.shape[:2], card.input_hw or task.size_px, card.stride)
    return letterboxed(image, letterbox)[None]


def quantized(model: Any, images: Sequence[UInt8Array]) -> Any:
    """Return the OpenVINO `model`, rounded to int8 by NNCF (extra ``int8``); raises MissingExtraError.

    The ranges of the 8-bit convolutions are those seen in `images` (1, H, W, 3). The first convolutions, down to an
    eighth of the resolution, are not rounded: on YOLOv8n the whole loss of int8 comes from them. Neither is the part
    behind the last convolutions, where boxes are decoded to the pixel.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import nncf
        except ImportError:
            raise MissingExtraError("nncf", "int8") from None
        nncf.set_log_level(logging.ERROR)
        return nncf.quantize(
            model,
            nncf.Dataset(list(images)),
            subset_size=len(images),
            # The activation SiLU is not symmetric around 0.
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=_unrounded(model), validate=False),
        )


def _unrounded(model: Any) -> list[str]:
    """Return the names of the first convolutions and of everything behind the last ones."""
    operations = model.get_ordered_ops()
    convolutions = [operation for operation in operations if operation.get_type_name() == "Convolution"]
    ahead = {operation.get_friendly_name() for operation in convolutions}
    # Operations are ordered from input to output: the sources of one that is ahead of a convolution are ahead too.
    for operation in reversed(operations):
        if operation.get_friendly_name() in ahead:
            ahead |= {source.get_node().get_friendly_name() for source in operation.input_values()}
    behind = [operation.get_friendly_name() for operation in operations if operation.get_friendly_name() not in ahead]
    return [*_first_convolutions(operations), *behind]


def _first_convolutions(operations: Sequence[Any]) -> list[str]:
    """Return the names of the convolutions that read maps with cells of less than `FINEST_INT8_PX`."""
    names: list[str] = []
    stride_px: dict[str, int] = {}
    for operation in operations:
        sources = [value.get_node().get_friendly_name() for value in operation.input_values()]
        before = max((stride_px.get(source, 1) for source in sources), default=1)
        is_convolution = operation.get_type_name() == "Convolution"
        if is_convolution and before < FINEST_INT8_PX:
            names.append(operation.get_friendly_name())
        # Upsampling leaves the stride as it is: an upsampled map comes from convolutions of a coarse one.
        step = operation.get_attributes()["strides"][0] if is_convolution else 1
        stride_px[operation.get_friendly_name()] = before * step
    return names
