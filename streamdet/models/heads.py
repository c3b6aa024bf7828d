"""The detection heads, anchor-free (YOLOv8) and anchor-based (YOLOv5): predictions per cell, and boxes from them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from streamdet.models.blocks import Conv

REG_MAX = 16  # bins per box side: a side is at most 15 cells from its anchor point
BOX = 4  # numbers of a box, ahead of its objectness and classes
# Objects per level, and per level and anchor, that an untrained head expects in an image of 640x640 px.
EXPECTED_OBJECTS = 5
ANCHOR_EXPECTED_OBJECTS = 8


class RawMaps(NamedTuple):
    """What the heads of `streamdet.models.task_heads` return in training mode, beside boxes and classes.

    - `maps` are those of `DetectHead` in training mode.
    - `extras` f32 (B, E, A) are what each cell predicts besides, A cells of all levels: see the head.
    - `prototypes` (B, M, H / 4, W / 4) are those of masks, None but for the task segment.
    """

    maps: list[Tensor]
    extras: Tensor
    prototypes: Tensor | None = None


# Raw maps in training mode; else predictions, of a model that segments with the prototypes of its masks.
HeadOutput = Tensor | list[Tensor] | RawMaps | tuple[Tensor, Tensor]


class DFL(nn.Module):
    """Expected value of a discrete distribution over distances (Generalized Focal Loss, arXiv 2006.04388, eq. 6)."""

    def __init__(self, bins: int = REG_MAX) -> None:
        super().__init__()
        # A frozen 1x1 convolution in the published checkpoints: its weights are the bin values 0 .. bins - 1.
        self.conv = nn.Conv2d(bins, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.data[:] = torch.tensor(range(bins), dtype=torch.float32).view(1, bins, 1, 1)

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits (B, A, 4 * bins) to distances (B, A, 4) in cells, float32."""
        probabilities = logits.float().view(*logits.shape[:2], 4, -1).softmax(dim=3)
        # d = sum_i  i p_i, without a matrix product: OpenVINO in bf16 rounds everything up to the last one.
        return (probabilities * self.conv.weight.float().flatten()).sum(3)


class DetectHead(nn.Module):
    """The anchor-free head of YOLOv8: a branch for boxes and one for classes at each pyramid level.

    Level i has `channels[i]` input channels and a cell every `strides_px[i]` model pixels.
    """

    def __init__(self, class_count: int, channels: Sequence[int], strides_px: Sequence[int]) -> None:
        super().__init__()
        self.class_count = class_count
        self.strides_px = tuple(strides_px)
        box_width = max(16, channels[0] // 4, 4 * REG_MAX)
        class_width = max(channels[0], min(class_count, 100))
        # Initial scores match the expected number of objects (RetinaNet, arXiv 1708.02002, section 4.1).
        biases = [math.log(EXPECTED_OBJECTS / class_count / (640 / stride_px) ** 2) for stride_px in strides_px]
        self.cv2 = nn.ModuleList(branch(c, box_width, 4 * REG_MAX, 1.0) for c in channels)
        self.cv3 = nn.ModuleList(branch(c, class_width, class_count, b) for c, b in zip(channels, biases, strict=True))
        self.dfl = DFL()

    def forward(self, features: Sequence[Tensor]) -> HeadOutput:
        """Return raw maps in training mode, else boxes and scores, from features [(B, c_i, H_i, W_i), ...].

        In training mode: the raw maps [(B, 4 * REG_MAX + class_count, H_i, W_i), ...]. In eval mode: one float32 tensor
        (B, 4 + class_count, A), A cells of all levels, rows cx, cy, w, h in model pixels and class scores in [0, 1].
        """
        boxes, scores = self._branches(features)
        return self._raw(boxes, scores) if self.training else self._decode(boxes, scores)

    def _branches(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the maps of the sides of boxes and those of the classes, for each level."""
        boxes = [layers(x) for layers, x in zip(self.cv2, features, strict=True)]
        scores = [layers(x) for layers, x in zip(self.cv3, features, strict=True)]
        return boxes, scores

    def _raw(self, boxes: list[Tensor], scores: list[Tensor]) -> list[Tensor]:
        return [torch.cat(pair, dim=1) for pair in zip(boxes, scores, strict=True)]

    def _decode(self, boxes: list[Tensor], scores: list[Tensor]) -> Tensor:
        points, strides_px = anchor_points([m.shape[-2:] for m in boxes], self.strides_px, boxes[0].device)
        # (l, t, r, b) from the anchor point p:  x1y1 = p - lt,  x2y2 = p + rb
        left_top, right_bottom = self.dfl(cells(boxes)).chunk(2, dim=2)
        center = points + (right_bottom - left_top) / 2
        size = left_top + right_bottom
        rows = torch.cat((center * strides_px, size * strides_px, cells(scores).float().sigmoid_()), dim=2)
        return rows.transpose(1, 2)


def cells(maps: Sequence[Tensor]) -> Tensor:
    """Join maps [(B, C, H_i, W_i), ...] to (B, A, C): a plain copy if their memory is channels-last."""
    return torch.cat([m.permute(0, 2, 3, 1).flatten(1, 2) for m in maps], dim=1)


def branch(c_in: int, width: int, c_out: int, bias: float | None = None) -> nn.Sequential:
    """Return two 3x3 convolutions and one 1x1, whose initial `bias` is random by default."""
    last = nn.Conv2d(width, c_out, 1)
    if bias is not None and last.bias is not None:
        nn.init.constant_(last.bias, bias)
    return nn.Sequential(Conv(c_in, width, 3), Conv(width, width, 3), last)


def anchor_points(
    shapes: Sequence[Sequence[int]], strides_px: Sequence[int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the cell centres (A, 2), x and y in cells, and the stride (A, 1) of each cell in model px; float32.

    `shapes` are the (H, W) of the pyramid levels; cells run row by row, level after level.
    """
    points, scales = [], []
    for (height, width), stride_px in zip(shapes, strides_px, strict=True):
        y, x = torch.meshgrid(
            torch.arange(height, device=device) + 0.5, torch.arange(width, device=device) + 0.5, indexing="ij"
        )
        points.append(torch.stack((x.flatten(), y.flatten()), dim=1))
        scales.append(torch.full((height * width, 1), float(stride_px), device=device))
    return torch.cat(points), torch.cat(scales)


class AnchorHead(nn.Module):
    """The anchor-based head of YOLOv5: a 1x1 convolution at each pyramid level.

    Level i has `channels[i]` input channels, a cell every `strides_px[i]` model pixels, and anchors whose widths and
    heights in model px are `anchors_px[i]`: ``(w, h, w, h, ...)``; weights from a file contain their own. Raises
    ValueError unless there are equally many pairs, all positive, for every level.
    """

    anchors: Tensor

    def __init__(
        self,
        class_count: int,
        anchors_px: Sequence[Sequence[float]],
        channels: Sequence[int],
        strides_px: Sequence[int],
    ) -> None:
        super().__init__()
        self.class_count = class_count
        self.strides_px = tuple(strides_px)
        self.anchor_count = len(anchors_px[0]) // 2
        # Published checkpoints hold f32 (levels, anchors, 2) in cells of the level.
        self.register_buffer("anchors", _in_cells(anchors_px, self.strides_px))
        width = self.anchor_count * (BOX + 1 + class_count)
        self.m = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        for convolution, stride_px in zip(self.m, self.strides_px, strict=True):
            assert isinstance(convolution.bias, Tensor)
            self._initialize_bias(convolution.bias, stride_px)

    @property
    def anchors_px(self) -> Tensor:
        """Widths and heights of the anchors, f32 (levels, anchors, 2) in model px."""
        return self.anchors.float() * self.anchors.new_tensor(self.strides_px, dtype=torch.float32)[:, None, None]

    def forward(self, features: Sequence[Tensor]) -> HeadOutput:
        """Return raw maps in training mode, else boxes and scores, from features [(B, c_i, H_i, W_i), ...].

        In training mode: the raw maps [(B, anchors * (5 + class_count), H_i, W_i), ...], split by `per_anchor`.
        In eval mode: one float32 tensor (B, 4 + class_count, A), A anchors of all cells of all levels, rows cx, cy, w,
        h in model pixels and class scores in [0, 1]: the probability of an object times that of the class.
        """
        maps = [convolution(x) for convolution, x in zip(self.m, features, strict=True)]
        if self.training:
            return maps
        return torch.cat([self._decode(level, raw) for level, raw in enumerate(maps)], dim=1).transpose(1, 2)

    def per_anchor(self, raw: Tensor) -> Tensor:
        """Return a raw map (B, anchors * (5 + C), H, W) as (B, H, W, anchors, 5 + C): box, objectness, classes."""
        moved = raw.permute(0, 2, 3, 1)
        return moved.view(*moved.shape[:3], self.anchor_count, BOX + 1 + self.class_count)

    def _decode(self, level: int, raw: Tensor) -> Tensor:
        """Return the rows (B, H * W * anchors, 4 + C) of one level."""
        predicted = self.per_anchor(raw).flatten(1, 2).float().sigmoid()
        corners, stride_px = anchor_points([raw.shape[-2:]], self.strides_px[level : level + 1], raw.device)
        offsets, sizes = decode_boxes(predicted[..., :BOX], self.anchors[level].float())
        # The offset counts from the corner of the cell, half a cell before its centre.
        boxes = torch.cat((corners[:, None] - 0.5 + offsets, sizes), dim=3) * stride_px[:, None]
        scores = predicted[..., BOX : BOX + 1] * predicted[..., BOX + 1 :]
        return torch.cat((boxes, scores), dim=3).flatten(1, 2)

    @torch.no_grad()
    def _initialize_bias(self, bias: Tensor, stride_px: int) -> None:
        """Match initial scores to the expected number of objects (RetinaNet, arXiv 1708.02002, section 4.1).

        Otherwise the many empty cells would dominate the loss.
        """
        per_anchor = bias.view(self.anchor_count, -1)
        per_anchor[:, BOX] = math.log(ANCHOR_EXPECTED_OBJECTS / (640 / stride_px) ** 2)
        # Odds of each class 0.6 : C - 1; a single class is certain.
        per_anchor[:, BOX + 1 :] = math.log(0.6 / max(self.class_count - 1, 1e-5))


def decode_boxes(box: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Return centres (..., 2) from the cell's corner and sizes (..., 2), both in cells, for sigmoids `box` (..., 4).

    `anchors` (..., 2), in cells, are broadcast. Centres are at most half a cell outside of the cell, sizes at most four
    times the anchor.
    """
    # xy = 2 sigma(t_xy) - 0.5,  wh = a (2 sigma(t_wh))^2
    return 2 * box[..., :2] - 0.5, anchors * (2 * box[..., 2:]).square()


def _in_cells(anchors_px: Sequence[Sequence[float]], strides_px: Sequence[int]) -> Tensor:
    count = len(anchors_px[0])
    if count < 2 or count % 2 or any(len(level) != count for level in anchors_px):
        raise ValueError("expected widths and heights of anchors, as many for every level")
    if len(anchors_px) != len(strides_px) or not all(size > 0 for level in anchors_px for size in level):
        raise ValueError(f"expected positive sizes of anchors for {len(strides_px)} levels")
    sizes = torch.tensor(anchors_px, dtype=torch.float32).view(len(anchors_px), -1, 2)
    return sizes / torch.tensor(strides_px, dtype=torch.float32)[:, None, None]
