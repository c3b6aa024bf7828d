"""ONNX detectors of other programs: recognised by what they take and give, and wrapped into the graph of a session.

A wrapped graph maps images uint8 (B, H, W, 3) RGB to rows f32 (B, A, 6), as in `streamdet.inference.graph`. What comes
before and after the network is part of the graph, so that the runtime compiles all of it.
"""

from __future__ import annotations

import ast
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from streamdet.errors import InputError, MissingExtraError
from streamdet.inference.graph import INPUT, OUTPUT
from streamdet.inference.session import KEY, ModelCard

_log = logging.getLogger(__name__)

Shape = tuple[int | None, ...]
_STRIDES_PX = (8, 16, 32)
_NEWEST_OPSET = 20  # that torch's exporter by tracing writes
_MOST_QUERIES = 1000  # of a network that needs no NMS; one that gives a row for each cell gives more
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation of RGB in 0..1
_COCO = [
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
]
_COCO_UNUSED = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # of COCO's category numbers 0 to 90


class Pixels(nn.Module):
    """Maps images uint8 (B, H, W, 3) RGB to f32 (B, 3, H, W): in 0..1, or as one of the options says.

    - `bgr`: in 0..255, and blue first.
    - `imagenet`: normalised by the mean and the standard deviation of ImageNet.
    - `sized`: a second output i64 (1, 2) is width and height in px.
    """

    def __init__(self, *, bgr: bool = False, imagenet: bool = False, sized: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.bgr, self.imagenet, self.sized = bgr, imagenet, sized

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Convert the images."""
        pixels = images.permute(0, 3, 1, 2).float()
        if self.bgr:
            return pixels[:, [2, 1, 0]]
        pixels = pixels / 255
        if self.imagenet:
            mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in _IMAGENET)
            pixels = (pixels - mean) / deviation
        return pixels if self.sized is None else (pixels, torch.tensor([self.sized[::-1]]))


class Rows(nn.Module):
    """Maps the outputs of a network to rows f32 (B, A, 6) by a function of these outputs."""

    def __init__(self, decode: Callable[..., Tensor]) -> None:
        super().__init__()
        self.decode = decode

    def forward(self, *outputs: Tensor) -> Tensor:
        """Return the rows: xyxy in model px, best class score, its class id."""
        return self.decode(*(output.float() for output in outputs))


@dataclass(frozen=True, slots=True)
class Layout:
    """What a network takes and gives: whose files have this layout, and its number of classes, None if it hides it."""

    name: str
    classes: int | None
    before: nn.Module
    after: Rows


def wrapped(model: Path) -> bytes:
    """Return the ONNX file `model` of another program as a graph with a card.

    Raises InputError for a layout that is not known, and MissingExtraError without the package onnx.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("onnx", "onnx") from None
    try:
        network = onnx.load(model)
    except Exception:  # the errors of protobuf and of missing external data have no class in common
        raise InputError(f"{model}: expected an ONNX model, found something else or a part of one") from None
    stored = {each.name for each in network.graph.initializer}
    inputs = {name: shape for name, shape in _shapes(network.graph.input).items() if name not in stored}
    metadata = {entry.key: entry.value for entry in network.metadata_props}
    layout = recognised(inputs, _shapes(network.graph.output), metadata, str(model))
    _log.info("taking %s for a model of %s", model.name, layout.name)
    return _joined(network, layout, _card(layout, next(iter(inputs.values())), metadata))


def _shapes(values: Any) -> dict[str, Shape]:
    """Return the shape of each value by its name, with None for a free size."""
    return {each.name: tuple(d.dim_value or None for d in each.type.tensor_type.shape.dim) for each in values}


def recognised(
    inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], metadata: Mapping[str, str], name: str
) -> Layout:
    """Return the layout of a network by the shapes of its `inputs` and `outputs`, None for a free size.

    Raises InputError, which begins with `name`, for one that is not known or not certain.
    """
    found = None
    match list(inputs.values()), list(outputs.values()), metadata.get("task", "detect"):
        case [(_, 3, height, width)], [(_, a, b)], "detect":
            found = _by_cells(a, b, (height, width), "names" in metadata)
        case [(_, 3, int(height), int(width))], [(_, _, 4), (_, _, int(classes))], _:
            found = _by_queries(list(outputs), classes, (height, width))
        case [(_, 3, int(height), int(width))], [(_, _, int(classes)), (_, _, 4)], _:
            found = _by_queries(list(outputs), classes, (height, width))
        case [(_, 3, int(height), int(width)), (_, 2)], [_, _, _], _ if {*outputs} == {"labels", "boxes", "scores"}:
            order = [list(outputs).index(output) for output in ("boxes", "scores", "labels")]
            found = Layout("RT-DETR or D-FINE", None, Pixels(sized=(height, width)), Rows(partial(finished, order)))
    if found is not None:
        return found
    shapes = " and ".join(
        ", ".join(f"{key} {_said(shape)}" for key, shape in each.items()) for each in (inputs, outputs)
    )
    raise InputError(
        f"{name}: expected the detector of streamdet export, or of YOLOv5, v7 to v12, 26, YOLOX, RF-DETR, RT-DETR or "
        f"D-FINE as ONNX, found one with {shapes}"
    )


def _said(shape: Shape) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"


def _by_cells(a: int | None, b: int | None, input_hw: tuple[int | None, int | None], is_named: bool) -> Layout | None:
    """Return the layout of a network with one output (B, a, b); `is_named`: its metadata name the classes."""
    height, width = input_hw
    cells = None
    if height is not None and width is not None:
        cells = sum((height // stride_px) * (width // stride_px) for stride_px in _STRIDES_PX)
    if b == 6 and a is not None and a <= _MOST_QUERIES:
        return Layout("YOLOv10 or YOLO26", None, Pixels(), Rows(torch.clone))
    if a is not None and a > 4 and (b is None or b > a):
        return Layout("YOLOv8, v9, v11 or v12", a - 4, Pixels(), Rows(transposed))
    if b is None or b < 6:
        return None
    if is_named or (cells is not None and a == 3 * cells):
        return Layout("YOLOv5 or v7", b - 5, Pixels(), Rows(with_objectness))
    if height is not None and width is not None and a == cells:
        return Layout("YOLOX", b - 5, Pixels(bgr=True), Rows(partial(relative_to_cells, (height, width))))
    return None


def _by_queries(names: Sequence[str], classes: int, input_hw: tuple[int, int]) -> Layout:
    """Return the layout of a DETR that gives a box and the logits of the classes for each query."""
    boxes_first = names[0] in ("dets", "pred_boxes", "boxes")
    after = Rows(partial(shares_of_image, input_hw, boxes_first))
    if set(names) == {"dets", "labels"}:
        return Layout("RF-DETR", classes, Pixels(imagenet=True), after)
    return Layout("RT-DETR or D-FINE", classes, Pixels(), after)


def transposed(output: Tensor) -> Tensor:
    """Decode (B, 4 + C, A): centre and size in model px, and a probability for each class."""
    rows = output.transpose(1, 2)
    return _rows(rows[..., :4], rows[..., 4:])


def with_objectness(output: Tensor) -> Tensor:
    """Decode (B, A, 5 + C): centre and size in model px, the probability of an object, and that of each class."""
    return _rows(output[..., :4], output[..., 4:5] * output[..., 5:])


def relative_to_cells(input_hw: tuple[int, int], output: Tensor) -> Tensor:
    """Decode (B, A, 5 + C), a row for each cell: YOLOX (arXiv 2107.08430) states boxes relative to their cell."""
    cells, strides_px = [], []
    for stride_px in _STRIDES_PX:
        y, x = torch.meshgrid(*(torch.arange(side // stride_px) for side in input_hw), indexing="ij")
        cells.append(torch.stack((x.flatten(), y.flatten()), 1))
        strides_px.append(torch.full((x.numel(), 1), float(stride_px)))
    # center = (offset + cell) stride,  size = exp(s) stride
    box = torch.cat([output[..., :2] + torch.cat(cells), output[..., 2:4].exp()], 2) * torch.cat(strides_px)
    return with_objectness(torch.cat([box, output[..., 4:]], 2))


def shares_of_image(input_hw: tuple[int, int], boxes_first: bool, first: Tensor, second: Tensor) -> Tensor:
    """Decode (B, A, 4) and (B, A, C): centre and size as shares of the image, and a logit for each class."""
    boxes, logits = (first, second) if boxes_first else (second, first)
    height, width = input_hw
    return _rows(boxes * torch.tensor([width, height, width, height]), logits.sigmoid())


def finished(order: Sequence[int], *outputs: Tensor) -> Tensor:
    """Decode xyxy in px (B, A, 4), scores and labels (B, A), which are the `outputs` at the indices `order`."""
    boxes, scores, labels = (outputs[index] for index in order)
    return torch.cat([boxes, scores[:, :, None], labels[:, :, None]], 2)


def _rows(box: Tensor, scores: Tensor) -> Tensor:
    """Return rows of centre and size `box` (B, A, 4) in model px, and `scores` (B, A, C)."""
    center, half = box[..., :2], box[..., 2:] / 2
    best, class_ids = scores.max(2, keepdim=True)
    return torch.cat([center - half, center + half, best, class_ids.float()], 2)


def _card(layout: Layout, image: Shape, metadata: Mapping[str, str]) -> ModelCard:
    height, width = image[2:]
    input_hw = None if height is None or width is None else (height, width)
    return ModelCard(_class_names(layout, metadata), int(metadata.get("stride", max(_STRIDES_PX))), input_hw)


def _class_names(layout: Layout, metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names in the metadata, as ultralytics writes them, else those of COCO if their number fits."""
    try:
        names = dict(ast.literal_eval(metadata["names"]))
        return tuple(str(names[index]) for index in range(len(names)))
    except (KeyError, ValueError, SyntaxError, TypeError):
        pass
    if layout.classes in (None, len(_COCO)):
        return tuple(_COCO)
    if layout.classes == len(_COCO) + len(_COCO_UNUSED):
        known = iter(_COCO)
        return tuple(str(index) if index in _COCO_UNUSED else next(known) for index in range(layout.classes))
    return tuple(str(index) for index in range(layout.classes or 0))


def _joined(network: Any, layout: Layout, card: ModelCard) -> bytes:
    """Return `network` between the parts of its `layout` as one graph, with its card."""
    from onnx import compose, helper

    opset = next(each.version for each in network.opset_import if each.domain in ("", "ai.onnx"))
    stored = {each.name for each in network.graph.initializer}
    fed = [value.name for value in network.graph.input if value.name not in stored]
    given = network.graph.output
    image = torch.zeros((1, *(card.input_hw or (2 * card.stride, 3 * card.stride)), 3), dtype=torch.uint8)
    before = _traced(layout.before, {INPUT: image}, fed, opset)
    after = _traced(layout.after, {value.name: _example(value) for value in given}, [OUTPUT], opset)
    network.ir_version = before.ir_version = after.ir_version = max(before.ir_version, network.ir_version)
    # Prefixes keep the names of the three apart; the graph's own input and output are those of all sessions.
    before = compose.add_prefix(before, "before/", rename_inputs=False)
    network, after = compose.add_prefix(network, "network/"), compose.add_prefix(after, "after/", rename_outputs=False)
    joined = compose.merge_models(before, network, [(f"before/{name}", f"network/{name}") for name in fed])
    joined = compose.merge_models(joined, after, [(f"network/{value.name}", f"after/{value.name}") for value in given])
    helper.set_model_props(joined, {KEY: card.to_json()})
    content: bytes = joined.SerializeToString()
    return content


def _example(value: Any) -> Tensor:
    """Return an array as an output of a network may be: a free size is 1."""
    from onnx import helper

    kind = value.type.tensor_type
    shape = [size.dim_value or 1 for size in kind.shape.dim]
    return torch.from_numpy(np.zeros(shape, helper.tensor_dtype_to_np_dtype(kind.elem_type)))


def _traced(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], opset: int) -> Any:
    """Return `module` as an ONNX model of that `opset`, with all sizes free that may be."""
    import onnx

    free = {name: dict(enumerate(f"{name}_{axis}" for axis in range(each.ndim))) for name, each in inputs.items()}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "part.onnx")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            path,
            dynamo=False,
            opset_version=min(opset, _NEWEST_OPSET),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=free,
        )
        return onnx.version_converter.convert_version(onnx.load(path), opset)
