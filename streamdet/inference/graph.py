"""The function that every backend computes, as a torch module and as an ONNX graph, with or without NMS inside."""

from __future__ import annotations

import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from streamdet.boxes import MAX_CANDIDATES
from streamdet.errors import MissingExtraError, StreamdetError
from streamdet.inference.session import KEY, ModelCard, SuppressionCard
from streamdet.models.weights import LoadedModel

INPUT, OUTPUT = "images", "rows"
OPSET = 17


class RowsNetwork(nn.Module):
    """Maps images uint8 (B, H, W, 3) RGB to rows f32 (B, A, 6): xyxy in model px, best class score, its class id.

    Batch norms are folded into the network of `model`, in place; it then computes in `dtype`. With more than one of
    `labels` each box has a row for each of its best classes, as many as that: (B, A * labels, 6).
    """

    def __init__(self, model: LoadedModel, dtype: torch.dtype = torch.float32, labels: int = 1) -> None:
        super().__init__()
        self.dtype, self.labels = dtype, min(labels, len(model.class_names))
        self.network = model.module.fuse().to(dtype)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Run the network; on a GPU nothing here waits for the device."""
        pixels = images.permute(0, 3, 1, 2).to(self.dtype) * (1 / 255)
        head: Tensor = self.network(pixels).float()
        center, size, class_scores = head[:, :2], head[:, 2:4], head[:, 4:]
        boxes = torch.cat([center - size / 2, center + size / 2], 1)
        if self.labels == 1:
            scores, class_ids = class_scores.max(1, keepdim=True)
        else:
            scores, class_ids = (best.flatten(1)[:, None] for best in class_scores.topk(self.labels, 1))
            boxes = boxes.repeat(1, 1, self.labels)
        return torch.cat([boxes, scores, class_ids.float()], 1).transpose(1, 2)


class SuppressedRows(nn.Module):
    """Reduces the rows of `network`, f32 (B, A, 6), to (B, max_det, 6): those that NMS keeps, best first, then zeros.

    The result is that of the greedy loop. Candidates are the rows with a score of at least `conf`, compared within
    their class. A candidate is kept when no kept one ahead of it overlaps it by more than `iou`. That definition has
    exactly one solution, and repeating it from "all kept" settles at least one more row of the order with every round.
    """

    def __init__(self, network: nn.Module, card: SuppressionCard) -> None:
        super().__init__()
        self.network, self.card = network, card
        # Compiled, so that the trace for export keeps the loop, and the count that depends on the image.
        self._top, self._settled = torch.jit.script(_top), torch.jit.script(_settled)

    def forward(self, images: Tensor) -> Tensor:
        """Run the network and suppress."""
        rows: Tensor = self.network(images)
        is_candidate = rows[:, :, 4] >= self.card.conf
        # As many columns as the image with most candidates has: few candidates make few pairs.
        ranked = self._best(rows, is_candidate.sum(1).max().clamp(1, MAX_CANDIDATES))
        is_kept = self._settled(_suppresses(ranked, self.card.iou)) * (ranked[:, :, 4] >= self.card.conf)
        # Rows of zeros, so that there are always max_det rows to choose from.
        padding = torch.zeros_like(rows[:, :1]).expand(-1, self.card.max_det, -1)
        kept = torch.cat([ranked * is_kept[:, :, None], padding], 1)
        return self._best(kept, torch.tensor(self.card.max_det))

    def _best(self, rows: Tensor, count: Tensor) -> Tensor:
        """Return the `count` rows of highest score, best first."""
        order = self._top(rows[:, :, 4], count)
        return rows.gather(1, order[:, :, None].expand(-1, -1, 6))


def pairwise_iou(rows: Tensor) -> Tensor:
    """Return the intersection over union f32 (B, K, K) of all pairs of `rows` (B, K, >= 4), which begin with xyxy."""
    x1, y1, x2, y2 = rows[:, :, :4].unbind(2)
    areas = (x2 - x1) * (y2 - y1)
    intersection = _shared_length(x1, x2) * _shared_length(y1, y2)
    union = areas[:, :, None] + areas[:, None, :] - intersection
    return intersection / union.clamp(min=1e-9)


def _shared_length(begin: Tensor, end: Tensor) -> Tensor:
    """Return the length (B, K, K) that each pair of the spans from `begin` (B, K) to `end` (B, K) shares."""
    first_end = torch.minimum(end[:, :, None], end[:, None, :])
    return (first_end - torch.maximum(begin[:, :, None], begin[:, None, :])).clamp(min=0)


def _suppresses(rows: Tensor, iou: float) -> Tensor:
    """Return f32 (B, K, K): 1 where row i would suppress row j behind it."""
    overlaps = pairwise_iou(rows) > iou
    same_class = rows[:, :, None, 5] == rows[:, None, :, 5]
    rank = torch.arange(rows.shape[1])
    return (overlaps & same_class & (rank[:, None] < rank)).float()


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
    Input ``images`` uint8 (B, H, W, 3) RGB, output ``rows`` f32 (B, A, 6); B, H and W are free unless the card fixes H
    and W, which fixes B to 1. Raises StreamdetError for a network that cannot be written.
    """
    height, width = card.input_hw or (2 * card.stride, 3 * card.stride)
    example = torch.zeros((1, height, width, 3), dtype=torch.uint8)
    free = {INPUT: {0: "batch", 1: "height", 2: "width"}, OUTPUT: {0: "batch", 1: "rows"}}
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
                output_names=[OUTPUT],
                dynamic_axes=free if card.input_hw is None else None,
            )
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            if find_spec("onnx") is None:
                raise MissingExtraError("onnx", "onnx") from None
            reason = str(error).strip().splitlines()[0]
            raise StreamdetError(f"{model.spec.name} cannot be written as ONNX: {reason}") from error
        return path.read_bytes() + _metadata(KEY, card.to_json())


def _network(model: LoadedModel, card: ModelCard) -> nn.Module:
    rows = RowsNetwork(model, torch.float16 if card.precision == "fp16" else torch.float32, card.labels)
    return rows if card.suppression is None else SuppressedRows(rows, card.suppression)


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
