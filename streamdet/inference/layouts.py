"""Layouts of other programs' detectors: recognised by what a network takes and gives, and decoded to rows."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from streamdet.errors import InputError
from streamdet.inference.graph import NetworkOutput
from streamdet.inference.session import TaskName

Shape = tuple[int | None, ...]
STRIDES_PX = (8, 16, 32)
_MOST_QUERIES = 1000  # of a network that needs no NMS; one that gives a row for each cell gives more
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation of RGB in 0..1


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
    """Maps the outputs of a network to those of a session, most often rows f32 (B, A, 6), by a function of them."""

    def __init__(self, decode: Callable[..., NetworkOutput]) -> None:
        super().__init__()
        self.decode = decode

    def forward(self, *outputs: Tensor) -> NetworkOutput:
        """Return the rows: xyxy in model px, best class score, its class id; or what the task has besides."""
        return self.decode(*(output.float() for output in outputs))


@dataclass(frozen=True, slots=True)
class Layout:
    """What a network takes and gives.

    - `name`: whose files have this layout.
    - `classes`: the number of its classes, None if it hides it.
    - `iou`: the overlap above which NMS removes a box, 1 for a network that gives one box for an object.
    - `task`, `kpt_shape`: see `ModelCard`.
    """

    name: str
    classes: int | None
    before: nn.Module
    after: Rows
    iou: float = 0.7
    task: TaskName = "detect"
    kpt_shape: tuple[int, int] | None = None


def recognised(
    inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], metadata: Mapping[str, str], name: str
) -> Layout:
    """Return the layout of a network by the shapes of its `inputs` and `outputs`, None for a free size.

    Raises InputError, which begins with `name`, for one that is not known or not certain.
    """
    found = None
    match list(inputs.values()), list(outputs.values()), metadata.get("task", "detect"):
        case [(_, 3, _, _)], given, ("segment" | "pose" | "obb" | "classify") as task:
            found = _by_task(task, given, metadata)
        case [(_, 3, height, width)], [(_, a, b)], "detect":
            found = _by_cells(a, b, (height, width), "names" in metadata)
        case [(_, 3, int(height), int(width))], [(_, _, 4), (_, _, int(classes))], _:
            found = _by_queries(list(outputs), classes, (height, width))
        case [(_, 3, int(height), int(width))], [(_, _, int(classes)), (_, _, 4)], _:
            found = _by_queries(list(outputs), classes, (height, width))
        case [(_, 3, int(height), int(width)), (_, 2)], [_, _, _], _ if {*outputs} == {"labels", "boxes", "scores"}:
            order = [list(outputs).index(output) for output in ("boxes", "scores", "labels")]
            pixels, after = Pixels(sized=(height, width)), Rows(partial(finished, order))
            found = Layout("RT-DETR or D-FINE", None, pixels, after, iou=1.0)
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
        cells = sum((height // stride_px) * (width // stride_px) for stride_px in STRIDES_PX)
    if b == 6 and a is not None and a <= _MOST_QUERIES:
        return Layout("YOLOv10 or YOLO26", None, Pixels(), Rows(torch.clone), iou=1.0)
    if a is not None and a > 4 and (b is None or b > a):
        return Layout("YOLOv8, v9, v11 or v12", a - 4, Pixels(), Rows(transposed))
    if b is None or b < 6:
        return None
    if is_named or (cells is not None and a == 3 * cells):
        return Layout("YOLOv5 or v7", b - 5, Pixels(), Rows(with_objectness), iou=0.45)
    if height is not None and width is not None and a == cells:
        return Layout("YOLOX", b - 5, Pixels(bgr=True), Rows(partial(relative_to_cells, (height, width))))
    return None


def _by_task(task: TaskName, outputs: Sequence[Shape], metadata: Mapping[str, str]) -> Layout | None:
    """Return the layout of a network of YOLOv8 or later with a `task` beside detection, as ultralytics exports it."""
    name, pixels = "YOLOv8 or later", Pixels()
    match task, outputs:
        case "segment", [(_, int(a), _), (_, int(count), _, _)] if a > 4 + count:
            return Layout(name, a - 4 - count, pixels, Rows(partial(with_prototypes, count)), task=task)
        case "pose", [(_, int(a), _)]:
            points, numbers = ast.literal_eval(metadata.get("kpt_shape", "[17, 3]"))
            after = Rows(partial(transposed, extras=points * numbers))
            return Layout(name, a - 4 - points * numbers, pixels, after, task=task, kpt_shape=(points, numbers))
        case "obb", [(_, int(a), _)] if a > 5:
            return Layout(name, a - 5, pixels, Rows(partial(transposed, extras=1)), task=task)
        case "classify", [(_, int(count))]:
            return Layout(name, count, pixels, Rows(torch.clone), task=task)
    return None


def _by_queries(names: Sequence[str], classes: int, input_hw: tuple[int, int]) -> Layout:
    """Return the layout of a DETR that gives a box and the logits of the classes for each query."""
    boxes_first = names[0] in ("dets", "pred_boxes", "boxes")
    after = Rows(partial(shares_of_image, input_hw, boxes_first))
    if set(names) == {"dets", "labels"}:
        return Layout("RF-DETR", classes, Pixels(imagenet=True), after, iou=1.0)
    return Layout("RT-DETR or D-FINE", classes, Pixels(), after, iou=1.0)


def transposed(output: Tensor, extras: int = 0) -> Tensor:
    """Decode (B, 4 + C + extras, A): centre and size in model px, a probability for each class, what the task adds."""
    rows, first = output.transpose(1, 2), output.shape[1] - extras
    decoded = _rows(rows[..., :4], rows[..., 4:first])
    return torch.cat([decoded, rows[..., first:]], 2) if extras else decoded


def with_prototypes(count: int, output: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """Decode (B, 4 + C + count, A) and as many prototypes (B, count, h, w)."""
    return transposed(output, count), prototypes.clone()


def with_objectness(output: Tensor) -> Tensor:
    """Decode (B, A, 5 + C): centre and size in model px, the probability of an object, and that of each class."""
    return _rows(output[..., :4], output[..., 4:5] * output[..., 5:])


def relative_to_cells(input_hw: tuple[int, int], output: Tensor) -> Tensor:
    """Decode (B, A, 5 + C), a row for each cell: YOLOX (arXiv 2107.08430) states boxes relative to their cell."""
    cells, strides_px = [], []
    for stride_px in STRIDES_PX:
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
