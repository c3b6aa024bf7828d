"""Greedy non-maximum suppression in torch, without a loop over boxes."""

from __future__ import annotations

import torch
from torch import Tensor


def box_iou(boxes: Tensor) -> Tensor:
    """Return the pairwise intersection over union (N, N) of xyxy `boxes` (N, 4)."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    top_left = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    bottom_right = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    intersection = (bottom_right - top_left).clamp_(min=0).prod(2)
    return intersection / (areas[:, None] + areas[None, :] - intersection).clamp_(min=1e-9)


def nms(boxes: Tensor, class_ids: Tensor | None, iou_threshold: float) -> Tensor:
    """Return which of the `boxes` f32 (N, 4), sorted by falling score, greedy suppression keeps: bool (N,).

    Boxes of different `class_ids` (N,) do not suppress each other; without them every box may suppress every other.
    A box is kept when no kept box ahead of it overlaps it by more than `iou_threshold`. That definition has exactly one
    solution, and repeating it from "all kept" settles at least one more box of the order with every round.
    """
    suppresses = (box_iou(boxes) > iou_threshold).triu_(diagonal=1)
    if class_ids is not None:
        suppresses &= class_ids[:, None] == class_ids[None, :]
    keep = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    while True:
        settled = ~(suppresses & keep[:, None]).any(0)
        if torch.equal(settled, keep):
            return keep
        keep = settled
