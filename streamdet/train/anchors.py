"""Models with anchors: anchors fitted to the boxes of a data set, and the loss.

Boxes and anchors are compared by shape alone, (width, height) in model px: they match as well as the worse of their two
ratios, m = min(w / w_a, w_a / w, h / h_a, h_a / h), in (0, 1]. A box is learned by the anchors that it matches by more
than 1 / 4. YOLOv5 has no paper: the loss follows the description that its authors published for version 6.0
(github.com/ultralytics/yolov5, issue 6998).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.cluster.vq import kmeans
from torch import Tensor

from streamdet.errors import InputError
from streamdet.models.heads import BOX, AnchorHead, decode_boxes
from streamdet.train.assign import Targets
from streamdet.train.class_loss import Entropy, bce
from streamdet.train.overlap import Overlap, ciou
from streamdet.types import Float64Array

MAX_RATIO = 4.0  # of the sides of a box and an anchor that learns it
MIN_SIDE_PX = 2.0  # anchors are not smaller, and smaller boxes do not count
SUFFICIENT_RECALL = 0.98
GENERATIONS = 1000

# Weights of the objectness by level, from P3 on: the finer a level, the more of its cells are empty.
LEVEL_WEIGHTS = {3: (4.0, 1.0, 0.4)}
LEVEL_WEIGHTS_OF_OTHERS = (4.0, 1.0, 0.25, 0.06, 0.02)


class AnchorFit(NamedTuple):
    """The best possible recall of a head's anchors before and after a fit."""

    before: float
    after: float


def fit_anchors(head: AnchorHead, sizes_px: npt.ArrayLike, *, seed: int = 0) -> AnchorFit:
    """Fit the anchors of `head` to boxes of `sizes_px` (N, 2), unless its own recall more than 0.98 of them.

    The head keeps its own anchors also when the fitted ones recall no more. The same `seed` gives the same anchors;
    10,000 boxes take seconds. Raises InputError when no box has sides of at least 2 px.
    """
    own = head.anchors_px.cpu().numpy().reshape(-1, 2)
    before = best_possible_recall(own, sizes_px)
    if before > SUFFICIENT_RECALL:
        return AnchorFit(before, before)
    evolved = evolve_anchors(kmeans_anchors(sizes_px, len(own)), sizes_px, seed=seed)
    after = best_possible_recall(evolved, sizes_px)
    if after <= before:
        return AnchorFit(before, before)
    # Sorted by area: the smallest anchors go to the finest level.
    by_level = torch.as_tensor(evolved).view_as(head.anchors)
    head.anchors.copy_(by_level / torch.tensor(head.strides_px)[:, None, None])
    return AnchorFit(before, after)


def kmeans_anchors(sizes_px: npt.ArrayLike, count: int) -> Float64Array:
    """Return `count` anchors (count, 2), smallest area first: the centres of clusters of `sizes_px` (N, 2).

    Width and height are clustered in units of their standard deviation; the clusters start from boxes that are spread
    evenly over the order of areas.
    """
    sizes = _countable(sizes_px)
    spread = np.where(sizes.std(0) > 0, sizes.std(0), 1)
    by_area = _by_area(sizes)
    start = by_area[np.linspace(0, len(sizes) - 1, count).round().astype(int)] / spread
    centers, _ = kmeans(sizes / spread, start)
    # SciPy leaves out clusters that lost all their boxes: starting points take their places.
    return _by_area(np.concatenate([centers, start])[:count] * spread)


def evolve_anchors(
    anchors_px: npt.ArrayLike, sizes_px: npt.ArrayLike, *, seed: int = 0, generations: int = GENERATIONS
) -> Float64Array:
    """Return anchors (K, 2), smallest area first, of at least the `fitness` of `anchors_px` (K, 2).

    Every generation is one random change of the best anchors so far, kept if it is fitter: the genetic algorithm of
    YOLOv5's autoanchor, which has mutation and selection only.
    """
    rng = np.random.default_rng(seed)
    sizes = _countable(sizes_px)
    best = np.asarray(anchors_px, np.float64)
    best_fitness = fitness(best, sizes)
    for _ in range(generations):
        # Nine sides of ten change by a factor near 1, whose spread is drawn anew in every generation.
        change = rng.standard_normal(best.shape) * rng.random() * 0.1
        factor = np.where(rng.random(best.shape) < 0.9, 1 + change, 1).clip(0.3, 3)
        child = (best * factor).clip(MIN_SIDE_PX)
        child_fitness = fitness(child, sizes)
        if child_fitness > best_fitness:
            best, best_fitness = child, child_fitness
    return _by_area(best)


def fitness(anchors_px: npt.ArrayLike, sizes_px: npt.ArrayLike) -> float:
    """Return the mean over the boxes of their best match with an anchor, which counts as 0 up to 1 / 4."""
    best = _best_match(anchors_px, sizes_px)
    return float(np.where(best > 1 / MAX_RATIO, best, 0).mean())


def best_possible_recall(anchors_px: npt.ArrayLike, sizes_px: npt.ArrayLike, ratio: float = MAX_RATIO) -> float:
    """Return the share of boxes `sizes_px` (N, 2) whose sides differ from some anchor (K, 2) by less than `ratio`."""
    return float((_best_match(anchors_px, sizes_px) > 1 / ratio).mean())


def _best_match(anchors_px: npt.ArrayLike, sizes_px: npt.ArrayLike) -> Float64Array:
    """Return the best match (N,) of each box with an anchor."""
    sizes, anchors = np.log(_countable(sizes_px)), np.log(np.asarray(anchors_px, np.float64))
    # min(w / w_a, w_a / w, h / h_a, h_a / h) = exp(-max(|ln w - ln w_a|, |ln h - ln h_a|))
    width, height = (np.abs(sizes[:, side, None] - anchors[:, side]) for side in (0, 1))
    nearest: Float64Array = np.exp(-np.maximum(width, height).min(1))
    return nearest


def _countable(sizes_px: npt.ArrayLike) -> Float64Array:
    sizes = np.asarray(sizes_px, np.float64).reshape(-1, 2)
    sizes = sizes[(sizes >= MIN_SIDE_PX).all(1)]
    if not len(sizes):
        raise InputError(f"expected labelled boxes with sides of at least {MIN_SIDE_PX:g} px, found none")
    return sizes


def _by_area(sizes: Float64Array) -> Float64Array:
    return sizes[np.argsort(sizes.prod(1), kind="stable")]


class AnchorGains(NamedTuple):
    """Weights of the three parts of the loss: `cls` for 80 classes, `obj` for images of 640x640 px."""

    box: float = 0.05
    cls: float = 0.5
    obj: float = 1.0


class AnchorLossParts(NamedTuple):
    """The weighted parts of a loss, without gradient."""

    box: float
    cls: float
    objectness: float


class Matches(NamedTuple):
    """M pairs of a target and the prediction of one level that learns it, i64 (M,) each."""

    target: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor


class AnchorLoss:
    """A loss of the `overlap` of boxes, by default CIoU, of objectness and of classes, averaged per level.

    The target of the objectness is the overlap that the predicted box reaches, the higher one where a prediction has
    two objects, and 0 without an object. `label_smoothing` e makes 1 - e / 2 the target of the true class and e / 2
    that of the others. A single class has no class loss: its probability is the objectness.

    In partly labelled images the classes that are not labelled add nothing. A cell without an object may show one of
    these classes, so its objectness weighs as much as the share of classes that the image is labelled for.
    """

    def __init__(
        self,
        head: AnchorHead,
        gains: AnchorGains | None = None,
        *,
        overlap: Overlap = ciou,
        entropy: Entropy = bce,
        label_smoothing: float = 0.0,
    ) -> None:
        self.gains = gains or AnchorGains()
        self._head = head
        self._overlap, self._entropy, self._smoothing = overlap, entropy, label_smoothing

    def __call__(self, maps: list[Tensor], targets: Targets) -> tuple[Tensor, AnchorLossParts]:
        """Return the loss, summed over images, of the raw head `maps` [(B, anchors * (5 + C), H_i, W_i), ...]."""
        parts = torch.stack([self._level_parts(level, raw, targets) for level, raw in enumerate(maps)])
        weights = LEVEL_WEIGHTS.get(len(maps), LEVEL_WEIGHTS_OF_OTHERS)
        parts = parts * torch.stack([parts.new_tensor((1.0, 1.0, weight)) for weight in weights[: len(maps)]])
        # The gains apply to the sum over three levels.
        weighted = parts.mean(0) * 3 * parts.new_tensor(self._scaled_gains(maps[0]))
        return weighted.sum() * len(maps[0]), AnchorLossParts(*weighted.detach().tolist())

    def _scaled_gains(self, finest: Tensor) -> AnchorGains:
        area_px = finest.shape[2] * finest.shape[3] * self._head.strides_px[0] ** 2
        classes = self.gains.cls * self._head.class_count / 80
        return self.gains._replace(cls=classes, obj=self.gains.obj * area_px / 640**2)

    def _level_parts(self, level: int, raw: Tensor, targets: Targets) -> Tensor:
        """Return box, class and objectness loss (3,) of one level."""
        predicted = self._head.per_anchor(raw).float()
        anchors, stride_px = self._head.anchors[level].float(), self._head.strides_px[level]
        centers = (targets.boxes[:, :2] + targets.boxes[:, 2:]) / 2 / stride_px
        sizes = (targets.boxes[:, 2:] - targets.boxes[:, :2]) / stride_px
        found = match(centers, sizes, anchors, (raw.shape[2], raw.shape[3]))
        image = targets.image_index[found.target]
        place = (image, found.row, found.column, found.anchor)
        chosen = predicted[place]
        offsets, predicted_sizes = decode_boxes(chosen[:, :BOX].sigmoid(), anchors[found.anchor])
        true_offsets = centers[found.target] - torch.stack((found.column, found.row), dim=1)
        overlap = self._overlap(_corners(offsets, predicted_sizes), _corners(true_offsets, sizes[found.target]))

        wanted = _highest(place, overlap.detach(), predicted.shape[:-1])
        objectness = self._objectness(predicted[..., BOX], wanted, place, targets.labelled)
        classes = self._classes(chosen[:, BOX + 1 :], targets.class_ids[found.target], targets.labelled[image])
        return torch.stack((_mean(1 - overlap), classes, objectness))

    def _objectness(self, logits: Tensor, wanted: Tensor, place: tuple[Tensor, ...], labelled: Tensor) -> Tensor:
        entropy = self._entropy(logits, wanted)
        weight = labelled.float().mean(1)[:, None, None, None].expand_as(logits).clone()
        weight[place] = 1
        return (entropy * weight).mean()

    def _classes(self, logits: Tensor, class_ids: Tensor, labelled: Tensor) -> Tensor:
        if self._head.class_count == 1:
            return logits.sum() * 0
        wanted = torch.full_like(logits, self._smoothing / 2)
        wanted[torch.arange(len(wanted), device=wanted.device), class_ids] = 1 - self._smoothing / 2
        return _mean(self._entropy(logits, wanted)[labelled])


def match(centers: Tensor, sizes: Tensor, anchors: Tensor, grid_hw: tuple[int, int]) -> Matches:
    """Return which predictions of one level learn boxes with `centers` and `sizes` (N, 2), all lengths in cells.

    An anchor (A, 2) learns a box when no side differs by a factor of 4 or more. It does so in the cell that holds the
    centre and in the nearest cell beside it and the nearest above or below it, as far as they are inside the grid.
    """
    ratio = sizes[:, None] / anchors
    # max(w / w_a, w_a / w, h / h_a, h_a / h) < 4
    suits = torch.maximum(ratio, 1 / ratio).amax(2) < MAX_RATIO

    own = centers.floor()
    toward = torch.where(centers - own < 0.5, -1.0, 1.0)
    beside = own + toward * toward.new_tensor((1, 0))
    above_or_below = own + toward * toward.new_tensor((0, 1))
    cells = torch.stack((own, beside, above_or_below), dim=1)
    exists = ((cells >= 0) & (cells < cells.new_tensor(grid_hw[::-1]))).all(2)

    target, which, anchor = (exists[:, :, None] & suits[:, None]).nonzero(as_tuple=True)
    column, row = cells[target, which].long().unbind(1)
    return Matches(target, anchor, row, column)


def _corners(centers: Tensor, sizes: Tensor) -> Tensor:
    return torch.cat((centers - sizes / 2, centers + sizes / 2), dim=1)


def _highest(place: tuple[Tensor, ...], values: Tensor, shape: torch.Size) -> Tensor:
    """Return zeros of `shape` with the positive `values` (M,) at `place`, the highest one where several meet."""
    flat = torch.zeros(shape.numel(), device=values.device)
    index = torch.tensor(0, device=values.device)
    for coordinate, size in zip(place, shape, strict=True):
        index = index * size + coordinate
    return flat.scatter_reduce(0, index, values, "amax").view(shape)


def _mean(values: Tensor) -> Tensor:
    """Return the mean, 0 when there are no values."""
    return values.sum() / max(values.numel(), 1)
