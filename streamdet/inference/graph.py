"""The function that every backend computes, as a torch module and as an ONNX graph, with or without NMS inside."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from streamdet.boxes import MAX_CANDIDATES
from streamdet.errors import MissingExtraError, StreamdetError
from streamdet.inference.session import KEY, LAYOUTS, ModelCard, SuppressionCard, TaskName
from streamdet.models.task_heads import ExtendedHead, Prototypes
from streamdet.models.weights import LoadedModel

INPUT = "images"
OUTPUTS = {"prototypes": ["rows", "prototypes"], "probabilities": ["probabilities"]}  # by layout, else rows alone
OPSET = 17

# Rows f32 (B, A, 6 + E), with prototypes f32 (B, M, h, w), or probabilities f32 (B, C).
NetworkOutput = Tensor | tuple[Tensor, Tensor]
# Maps rows (B, K, 6 + E) to the overlaps f32 (B, K, K) of all pairs.
PairwiseOverlap = Callable[[Tensor], Tensor]


def model_card(model: LoadedModel, **properties: Any) -> ModelCard:
    """Return the card of `model`; `properties` are those that a file adds."""
    spec = model.spec
    task = cast(TaskName, spec.task)
    layout = LAYOUTS.get(task, "rows")
    names = model.class_names
    stated = {"task": task, "layout": layout, "kpt_shape": spec.kpt_shape, "iou": model.iou}
    return ModelCard(names, model.stride, **stated | properties)


class RowsNetwork(nn.Module):
    """Maps images uint8 (B, H, W, 3) RGB to the output of `model`, see `streamdet.inference.session.Session`.

    These are rows f32 (B, A, 6 + E): xyxy in model px, best class score, its class id, and what the task adds; with
    them the prototypes f32 (B, M, h, w) of a model that segments; or the probabilities f32 (B, C) of a classifier.
    Batch norms are folded into the network of `model`, in place; it then computes in `dtype`. With more than one of
    `labels` each box has a row for each of its best classes, as many as that: (B, A * labels, 6 + E).
    """

    def __init__(self, model: LoadedModel, dtype: torch.dtype = torch.float32, labels: int = 1) -> None:
        super().__init__()
        self.dtype, self.labels = dtype, min(labels, len(model.class_names))
        self.task, self.class_count = model.spec.task, len(model.class_names)
        self.network = model.module.fuse()
        for part in list(self.network.modules()):
            if isinstance(part, Prototypes):
                part.unite()
        self.network.to(dtype)
        self.eval()

    def forward(self, images: Tensor) -> NetworkOutput:
        """Run the network; on a GPU nothing here waits for the device."""
        pixels = images.permute(0, 3, 1, 2).to(self.dtype) * (1 / 255)
        found = self.network(pixels)
        if isinstance(found, tuple):
            head, prototypes = found
            return self._rows(head.float()), prototypes.float()
        return found.float() if self.task == "classify" else self._rows(found.float())

    def _rows(self, head: Tensor) -> Tensor:
        """Return the rows (B, A * labels, 6 + E) of the output (B, 4 + C + E, A) of a head."""
        center, size, rest = head[:, :2], head[:, 2:4], head[:, 4:]
        boxes = torch.cat([center - size / 2, center + size / 2], 1)
        if self.task == "detect":
            class_scores, extras = rest, []
        else:
            class_scores, extras = rest[:, : self.class_count], [rest[:, self.class_count :]]
        if self.labels == 1:
            scores, class_ids = class_scores.max(1, keepdim=True)
        else:
            scores, class_ids = (best.flatten(1)[:, None] for best in class_scores.topk(self.labels, 1))
            boxes, *extras = (each.repeat(1, 1, self.labels) for each in (boxes, *extras))
        return torch.cat([boxes, scores, class_ids.float(), *extras], 1).transpose(1, 2)


class SuppressedRows(nn.Module):
    """Reduces the rows of `network`, f32 (B, A, W), to (B, max_det, W): those that NMS keeps, best first, then zeros.

    Prototypes are passed on. `width` is W, the number of columns; `overlap` compares all pairs of rows.

    The result is that of the greedy loop. Candidates are the rows with a score of at least `conf`, compared within
    their class. A candidate is kept when no kept one ahead of it overlaps it by more than `iou`. That definition has
    exactly one solution, and repeating it from "all kept" settles at least one more row of the order with every round.
    """

    def __init__(
        self, network: nn.Module, card: SuppressionCard, width: int = 6, overlap: PairwiseOverlap | None = None
    ) -> None:
        super().__init__()
        self.network, self.card, self.width, self.overlap = network, card, width, overlap or pairwise_iou
        # Compiled, so that the trace for export keeps the loop, and the count that depends on the image.
        self._top, self._settled = torch.jit.script(_top), torch.jit.script(_settled)

    def forward(self, images: Tensor) -> NetworkOutput:
        """Run the network and suppress."""
        found = self.network(images)
        return (self._kept(found[0]), found[1]) if isinstance(found, tuple) else self._kept(found)

    def _kept(self, rows: Tensor) -> Tensor:
        is_candidate = rows[:, :, 4] >= self.card.conf
        # As many columns as the image with most candidates has: few candidates make few pairs.
        ranked = self._best(rows, is_candidate.sum(1).max().clamp(1, MAX_CANDIDATES))
        is_kept = self._settled(_suppresses(ranked, self.overlap(ranked), self.card.iou)) * (
            ranked[:, :, 4] >= self.card.conf
        )
        # Rows of zeros, so that there are always max_det rows to choose from.
        padding = torch.zeros_like(rows[:, :1]).expand(-1, self.card.max_det, -1)
        kept = torch.cat([ranked * is_kept[:, :, None], padding], 1)
        return self._best(kept, torch.tensor(self.card.max_det))

    def _best(self, rows: Tensor, count: Tensor) -> Tensor:
        """Return the `count` rows of highest score, best first."""
        order = self._top(rows[:, :, 4], count)
        return rows.gather(1, order[:, :, None].expand(-1, -1, self.width))


def pairwise_iou(rows: Tensor) -> Tensor:
    """Return the intersection over union f32 (B, K, K) of all pairs of `rows` (B, K, >= 4), which begin with xyxy."""
    x1, y1, x2, y2 = rows[:, :, :4].unbind(2)
    areas = (x2 - x1) * (y2 - y1)
    intersection = _shared_length(x1, x2) * _shared_length(y1, y2)
    union = areas[:, :, None] + areas[:, None, :] - intersection
    return intersection / union.clamp(min=1e-9)


def pairwise_prob_iou(rows: Tensor) -> Tensor:
    """Return the probabilistic IoU f32 (B, K, K) of all pairs of `rows` (B, K, 7): xyxy, score, class id, angle.

    See `streamdet.boxes.prob_iou`.
    """
    x1, y1, x2, y2 = rows[:, :, :4].unbind(2)
    angle, x, y = rows[:, :, 6], (x1 + x2) / 2, (y1 + y2) / 2
    along, across, cos, sin = (x2 - x1) ** 2 / 12, (y2 - y1) ** 2 / 12, angle.cos(), angle.sin()
    a = _pairs(torch.add, along * cos**2 + across * sin**2)
    b = _pairs(torch.add, along * sin**2 + across * cos**2)
    c = _pairs(torch.add, (along - across) * cos * sin)
    dx, dy, spread = _pairs(torch.sub, x), _pairs(torch.sub, y), _pairs(torch.mul, along * across).sqrt()
    determinant = a * b - c**2
    distance = (a * dy**2 + b * dx**2 - 2 * c * dx * dy) / (4 * determinant.clamp(min=1e-9))
    distance = distance + (determinant / (4 * spread).clamp(min=1e-9)).clamp(min=1).log() / 2
    return 1 - (1 - (-distance).exp()).clamp(min=0).sqrt()


def _pairs(operation: Callable[[Tensor, Tensor], Tensor], values: Tensor) -> Tensor:
    """Return `operation` (B, K, K) on all pairs of `values` (B, K)."""
    return operation(values[:, :, None], values[:, None, :])


OVERLAPS: dict[str, PairwiseOverlap] = {"obb": pairwise_prob_iou}  # by task, else `pairwise_iou`


def _shared_length(begin: Tensor, end: Tensor) -> Tensor:
    """Return the length (B, K, K) that each pair of the spans from `begin` (B, K) to `end` (B, K) shares."""
    first_end = torch.minimum(end[:, :, None], end[:, None, :])
    return (first_end - torch.maximum(begin[:, :, None], begin[:, None, :])).clamp(min=0)


def _suppresses(rows: Tensor, overlaps: Tensor, iou: float) -> Tensor:
    """Return f32 (B, K, K): 1 where row i would suppress row j behind it."""
    same_class = rows[:, :, None, 5] == rows[:, None, :, 5]
    rank = torch.arange(rows.shape[1])
    return ((overlaps > iou) & same_class & (rank[:, None] < rank)).float()


def _top(scores: Tensor, count: Tensor) -> Tensor:
    """Return the columns of the `count` highest `scores` (B, A), int64 (B, count)."""
    return torch.topk(scores, int(count), 1)[1]


def _settled(suppresses: Tensor) -> Tensor:
    """Return f32 (B, K): 1 for each row that is kept, where `suppresses` (B, K, K) is that of `_suppresses`."""
    keep = torch.ones_like(suppresses[:, 0])
    settles = True
    while settles:
        before = keep
        # keep_j = no kept i suppresses j
        keep = (torch.matmul(before[:, None], suppresses)[:, 0] < 0.5).float()
        settles = bool((keep != before).any())
    return keep


def onnx_graph(model: LoadedModel, card: ModelCard) -> bytes:
    """Return the ONNX file of `model` as `card` describes it, with the card in the metadata.

    Batch norms of `model` are folded in place.
    Input ``images`` uint8 (B, H, W, 3) RGB, outputs as of `RowsNetwork`: ``rows``, with ``prototypes``, or
    ``probabilities``; B, H and W are free unless the card fixes H and W, which fixes B to 1. Raises StreamdetError for
    a network that cannot be written.
    """
    height, width = card.input_hw or (2 * card.stride, 3 * card.stride)
    example = torch.zeros((1, height, width, 3), dtype=torch.uint8)
    outputs = OUTPUTS.get(card.layout, ["rows"])
    free = {
        INPUT: {0: "batch", 1: "height", 2: "width"},
        "rows": {0: "batch", 1: "rows"},
        "prototypes": {0: "batch", 2: "rows of prototypes", 3: "columns of prototypes"},
        "probabilities": {0: "batch"},
    }
    # The exporter by tracing takes a quarter of the time of its successor, and does not need onnxscript.
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "graph.onnx")
        try:
            torch.onnx.export(
                _network(model, card),
                (example,),
                path,
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=outputs,
                dynamic_axes={name: free[name] for name in (INPUT, *outputs)} if card.input_hw is None else None,
            )
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            if find_spec("onnx") is None:
                raise MissingExtraError("onnx", "onnx") from None
            reason = str(error).strip().splitlines()[0]
            raise StreamdetError(f"{model.spec.name} cannot be written as ONNX: {reason}") from error
        return path.read_bytes() + _metadata(KEY, card.to_json())


def _network(model: LoadedModel, card: ModelCard) -> nn.Module:
    rows = RowsNetwork(model, torch.float16 if card.precision == "fp16" else torch.float32, card.labels)
    if card.suppression is None:
        return rows
    width = 6 + extra_count(model)
    return SuppressedRows(rows, card.suppression, width, OVERLAPS.get(card.task))


def extra_count(model: LoadedModel) -> int:
    """Return how many numbers a row of `model` has behind box, score and class id."""
    head = model.module.head
    return head.extra_count if isinstance(head, ExtendedHead) else 0


def _metadata(key: str, value: str) -> bytes:
    """Return a metadata entry that can be appended to an ONNX file.

    Fields of a Protocol Buffers message may come in any order, so that one more can follow the last: field 14 of
    ModelProto is metadata_props, with the key as field 1 and the value as field 2 (onnx.proto).
    """
    return _field(14, _field(1, key.encode()) + _field(2, value.encode()))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Return `value` in groups of seven bits, the lowest first, with the eighth bit set in all but the last group."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])
