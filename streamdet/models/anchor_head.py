"""The anchor-based detection head of YOLOv5: what it predicts per cell and anchor, and how that becomes boxes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from streamdet.models.heads import anchor_points

BOX = 4  # numbers for the box, ahead of the objectness and the classes
EXPECTED_OBJECTS = 8  # of each anchor in an image of 640x640 px, before anything is learned


class AnchorDetect(nn.Module):
    """One 1x1 convolution for each pyramid level: `channels` in, a cell every `strides_px` model pixels.

    `anchors_px` are the widths and heights of each level's anchors in turn, in model px: ``(w, h, w, h, ...)``. Weights
    from a file bring their own. Raises ValueError where they are not as many pairs, all positive, for every level.
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
            self._start_rare(convolution.bias, stride_px)

    @property
    def anchors_px(self) -> Tensor:
        """Widths and heights of the anchors, f32 (levels, anchors, 2) in model px."""
        return self.anchors.float() * self.anchors.new_tensor(self.strides_px, dtype=torch.float32)[:, None, None]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor] | Tensor:
        """Return what training or inference needs from features [(B, c_i, H_i, W_i), ...].

        While training: the raw maps [(B, anchors * (5 + class_count), H_i, W_i), ...], which `per_anchor` takes apart.
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
    def _start_rare(self, bias: Tensor, stride_px: int) -> None:
        """Let the untrained head expect few objects, lest the many empty cells dominate (arXiv 1708.02002, 4.1)."""
        per_anchor = bias.view(self.anchor_count, -1)
        per_anchor[:, BOX] = math.log(EXPECTED_OBJECTS / (640 / stride_px) ** 2)
        # Odds of a class 0.6 : C - 1, so that an only class is certain.
        per_anchor[:, BOX + 1 :] = math.log(0.6 / max(self.class_count - 1, 1e-5))


def decode_boxes(box: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Return centres (..., 2) from the cell's corner and sizes (..., 2), both in cells, for sigmoids `box` (..., 4).

    `anchors` (..., 2) in cells broadcast. Centres reach half a cell over each side, sizes to four times the anchor.
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
