"""The loss of models for rotated boxes, which are compared as normal distributions (ProbIoU, arXiv 2106.06072)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from streamdet.models.heads import REG_MAX
from streamdet.train.assign import Assignment, Targets, TaskAlignedAssigner
from streamdet.train.loss import DetectionLoss, Predicted, distribution_focal

_EPS = 1e-7


class RotatedGains(NamedTuple):
    """Weights of the parts of the loss: box, classes, distribution, angle."""

    box: float = 7.5
    cls: float = 0.5
    dfl: float = 1.5
    angle: float = 1.0


@dataclass(frozen=True, slots=True)
class RotatedAssigner(TaskAlignedAssigner):
    """The task-aligned assignment of rotated boxes (..., 5): to cells inside of them, by `prob_iou`."""

    def _inside(self, points_px: Tensor, targets: Targets, smallest_px: Tensor) -> Tensor:
        assert targets.rotated is not None
        boxes = targets.rotated[:, None]
        offsets = turned(points_px - boxes[:, :, :2], -boxes[:, :, 4:])
        return (offsets.abs() <= boxes[:, :, 2:4].clamp(min=smallest_px) / 2).all(2)

    def _overlap(self, targets: Targets, boxes: Tensor) -> Tensor:
        assert targets.rotated is not None
        return prob_iou(targets.rotated[:, None], boxes)


class RotatedLoss(DetectionLoss):
    """A `DetectionLoss` for rotated boxes: 1 - `prob_iou`, the distributions of their sides, and their angles.

    The four sides are counted along the axes of the true box. Its width and height may change places with a quarter
    turn: of the four ways to state one rectangle, that with the angle nearest to the predicted one counts. The loss of
    the angle is sin^2(2 d) of the error d, which is 0 for all of them; it keeps near squares, whose overlap says
    little of their angle, from turning freely.
    """

    gains = RotatedGains()

    def _boxes(self, distances: Tensor, points: Tensor, strides_px: Tensor, extras: Tensor) -> Tensor:
        left_top, right_bottom = distances.chunk(2, dim=2)
        # The sides are counted along the turned axes:  c = p + R(angle) (rb - lt) / 2
        center = points + turned((right_bottom - left_top) / 2, extras)
        return torch.cat((center * strides_px, (left_top + right_bottom) * strides_px, extras), dim=2)

    def _of_boxes(self, predicted: Predicted, assigned: Assignment, targets: Targets) -> tuple[Tensor, ...]:
        assert targets.rotated is not None
        image, cell = assigned.image_index, assigned.cell
        boxes, truth = predicted.boxes[image, cell], targets.rotated[assigned.target]
        distances = side_distances(predicted.points[cell], _restated(truth, boxes[:, 4]), predicted.strides_px[cell])
        spread = distribution_focal(predicted.sides[image, cell], distances)
        return 1 - prob_iou(boxes, truth), spread, (2 * (boxes[:, 4] - truth[:, 4])).sin().square()


def prob_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the ProbIoU (...) in [0, 1] of rotated boxes `a` and `b` (..., 5), which broadcast.

    1 minus the Hellinger distance of the normal distributions with the centres and the second moments of the rectangles
    (arXiv 2106.06072, section 3).
    """
    (xx, yy, xy), (uu, vv, uv) = _covariances(a), _covariances(b)
    dx, dy = (a[..., :2] - b[..., :2]).unbind(-1)
    sum_x, sum_y, sum_xy = xx + uu, yy + vv, xy + uv
    determinant = (sum_x * sum_y - sum_xy.square()).clamp(min=_EPS)
    # B = d^T S^-1 d / 4 + ln(|S| / (4 sqrt(|S_a| |S_b|))) / 2  with S = S_a + S_b
    shift = (sum_y * dx.square() - 2 * sum_xy * dx * dy + sum_x * dy.square()) / (4 * determinant)
    parts = ((xx * yy - xy.square()).clamp(min=0) * (uu * vv - uv.square()).clamp(min=0)).sqrt()
    shape = ((determinant / (4 * parts + _EPS)) + _EPS).log() / 2
    # H = sqrt(1 - e^-B)
    distance = (shift + shape).clamp(_EPS, 100)
    return 1 - (1 - (-distance).exp()).clamp(min=_EPS).sqrt()


def side_distances(points: Tensor, truth: Tensor, strides_px: Tensor) -> Tensor:
    """Return the distances (P, 4) of `points` (P, 2), in cells, from the left, top, right and bottom of rotated boxes.

    They are counted along the axes of `truth` (P, 5), in model px, in cells of `strides_px` (P, 1) within the bins.
    """
    offset = turned(truth[:, :2] / strides_px - points, -truth[:, 4:])
    half = truth[:, 2:4] / strides_px / 2
    return torch.cat((half - offset, half + offset), dim=1).clamp(0, REG_MAX - 1 - 0.01)


def turned(vectors: Tensor, angle: Tensor) -> Tensor:
    """Return `vectors` (..., 2) turned by `angle` (..., 1), in rad, from the x axis towards y."""
    (x, y), cos, sin = vectors.chunk(2, dim=-1), angle.cos(), angle.sin()
    return torch.cat((x * cos - y * sin, x * sin + y * cos), dim=-1)


def _restated(boxes: Tensor, angle: Tensor) -> Tensor:
    """Return the same rectangles `boxes` (P, 5), each stated with the angle that is nearest to `angle` (P,)."""
    turns = ((angle - boxes[:, 4]) / (math.pi / 2)).round().detach()
    swapped = torch.where((turns % 2 == 1)[:, None], boxes[:, [3, 2]], boxes[:, 2:4])
    return torch.cat((boxes[:, :2], swapped, (boxes[:, 4] + turns * math.pi / 2)[:, None]), dim=1)


def _covariances(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the second moments of rotated boxes (..., 5): those of x, of y, and the mixed one, each (...)."""
    # Along its own axes a rectangle has w^2 / 12 and h^2 / 12.
    width, height = (boxes[..., 2:4].square() / 12).unbind(-1)
    cos, sin = boxes[..., 4].cos(), boxes[..., 4].sin()
    return (
        width * cos.square() + height * sin.square(),
        width * sin.square() + height * cos.square(),
        (width - height) * cos * sin,
    )
