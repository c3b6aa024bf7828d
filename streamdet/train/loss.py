"""The loss of anchor-free models: what cells predict, and how far that is from the objects that they learn."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from streamdet.models.heads import DFL, REG_MAX, DetectHead, RawMaps, anchor_points, cells
from streamdet.train.assign import Assigner, Assignment, Targets, TaskAlignedAssigner
from streamdet.train.class_loss import Entropy, bce
from streamdet.train.overlap import Overlap, ciou


class Gains(NamedTuple):
    """Weights of the parts of the loss: box, classes, distribution."""

    box: float = 7.5
    cls: float = 0.5
    dfl: float = 1.5


class Predicted(NamedTuple):
    """The predictions of A cells for B images, and these cells.

    - `sides` (B, A, 4 * REG_MAX) and `logits` (B, A, C), of the distances of the sides of boxes, and of classes.
    - `boxes` (B, A, 4) xyxy, or (B, A, 5) if they are rotated, in model px.
    - `points` (A, 2), in cells of `strides_px` (A, 1), are the centres of the cells.
    - `extras` (B, A, E) and `prototypes` (B, M, h, w) are what a task adds, see `RawMaps`.
    - `image_hw` is the size of the images in px.
    """

    sides: Tensor
    logits: Tensor
    boxes: Tensor
    points: Tensor
    strides_px: Tensor
    extras: Tensor
    prototypes: Tensor | None
    image_hw: tuple[int, int]


class DetectionLoss:
    """A loss of the classes, of the `overlap` of boxes, and the distribution focal loss of the sides of boxes.

    Cells learn the objects of an assignment, by default the task-aligned one, and the score of the assignment weights
    the loss of a box (TOOD, arXiv 2108.07755, eq. 4 to 6). Of the score s, s (1 - e / 2) is wanted of the class of the
    object and s e / 2 of the others, for a `label_smoothing` e. Classes that an image is not labelled for add nothing.

    Losses of other tasks extend it: their `gains` name further parts.
    """

    gains: Any = Gains()

    def __init__(
        self,
        head: DetectHead,
        gains: NamedTuple | None = None,
        assigner: Assigner | None = None,
        *,
        overlap: Overlap = ciou,
        entropy: Entropy = bce,
        label_smoothing: float = 0.0,
    ) -> None:
        self.gains = gains or self.gains
        self._strides_px = head.strides_px
        self._assigner = assigner or TaskAlignedAssigner()
        self._overlap, self._entropy, self._smoothing = overlap, entropy, label_smoothing
        self._expected = DFL()

    def __call__(self, output: list[Tensor] | RawMaps, targets: Targets) -> tuple[Tensor, Any]:
        """Return the loss, summed over images, of the `output` of the head in training mode, and its weighted parts.

        The parts are floats with the names of `gains`.
        """
        predicted = self._predicted(
            output if isinstance(output, RawMaps) else RawMaps(output, output[0].flatten(2)[:, :0])
        )
        points_px = predicted.points * predicted.strides_px
        scores, boxes = predicted.logits.detach().sigmoid(), predicted.boxes.detach()
        assigned = self._assigner(scores, boxes, points_px, predicted.strides_px, targets)
        parts = torch.stack(self._parts(predicted, assigned, targets))
        weighted = parts * parts.new_tensor(self.gains)
        return weighted.sum() * len(scores), type(self.gains)(*weighted.detach().tolist())

    def _predicted(self, output: RawMaps) -> Predicted:
        rows = cells(output.maps).float()
        sides, logits = rows[:, :, : 4 * REG_MAX], rows[:, :, 4 * REG_MAX :]
        points, strides_px = anchor_points([m.shape[-2:] for m in output.maps], self._strides_px, sides.device)
        extras = output.extras.transpose(1, 2).float()
        boxes = self._boxes(self._expected.to(sides.device)(sides), points, strides_px, extras)
        height, width = (side * self._strides_px[0] for side in output.maps[0].shape[-2:])
        return Predicted(sides, logits, boxes, points, strides_px, extras, output.prototypes, (height, width))

    def _boxes(self, distances: Tensor, points: Tensor, strides_px: Tensor, extras: Tensor) -> Tensor:
        """Return the boxes in model px whose sides have `distances` (B, A, 4), in cells, from `points`."""
        left_top, right_bottom = distances.chunk(2, dim=2)
        return torch.cat((points - left_top, points + right_bottom), dim=2) * strides_px

    def _parts(self, predicted: Predicted, assigned: Assignment, targets: Targets) -> tuple[Tensor, ...]:
        """Return the parts of the loss in the order of `gains`."""
        image, cell, score = assigned.image_index, assigned.cell, assigned.score
        wanted = torch.zeros_like(predicted.logits)
        wanted[image, cell] = score[:, None] * (self._smoothing / 2)
        wanted[image, cell, targets.class_ids[assigned.target]] = score * (1 - self._smoothing / 2)
        # Every part is divided by the sum of scores, so that batches with many and few objects weigh alike.
        total = score.sum().clamp(min=1)
        classes = (self._entropy(predicted.logits, wanted) * targets.labelled[:, None]).sum() / total
        box, *others = ((losses * score).sum() / total for losses in self._of_boxes(predicted, assigned, targets))
        return box, classes, *others

    def _of_boxes(self, predicted: Predicted, assigned: Assignment, targets: Targets) -> tuple[Tensor, ...]:
        """Return the losses (P,) of the boxes of the assigned cells, and of the distributions of their sides."""
        image, cell = assigned.image_index, assigned.cell
        true_boxes = targets.boxes[assigned.target]
        distances = _distances(predicted.points[cell], true_boxes / predicted.strides_px[cell])
        overlap = self._overlap(predicted.boxes[image, cell], true_boxes)
        return 1 - overlap, distribution_focal(predicted.sides[image, cell], distances)


def distribution_focal(logits: Tensor, distances: Tensor) -> Tensor:
    """Return the loss (P,), mean of four sides, of `logits` (P, 4 * REG_MAX) for true `distances` (P, 4) in cells.

    The targets of a distance are the two bins beside it, weighted by their nearness (Generalized Focal Loss, arXiv
    2006.04388, eq. 6).
    """
    lower = distances.floor().long()
    # DFL = -((y_{i+1} - y) log p_i + (y - y_i) log p_{i+1})
    log_p = logits.view(*distances.shape, REG_MAX).log_softmax(2)
    above = distances - lower
    log_p_lower, log_p_upper = (log_p.gather(2, (lower + step)[..., None])[..., 0] for step in (0, 1))
    return -((1 - above) * log_p_lower + above * log_p_upper).mean(1)


def _distances(points: Tensor, boxes: Tensor) -> Tensor:
    """Return the distances (P, 4) of the sides of `boxes` (P, 4) from `points` (P, 2), clamped to the range of bins."""
    distances = torch.cat((points - boxes[:, :2], boxes[:, 2:] - points), dim=1)
    return distances.clamp(0, REG_MAX - 1 - 0.01)
