import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from streamdet.models.heads import EXPECTED_OBJECTS, REG_MAX, DetectHead
from streamdet.train.assign import Targets, TaskAlignedAssigner
from streamdet.train.loss import DetectionLoss, Gains, distribution_focal

STRIDE_PX = 8
CLASSES = 2
TRUE_BOX = (1.0, 2.0, 15.0, 13.0)  # has all cells of a map of 2 by 2 inside
LAST = 3  # the cell with its centre at (12, 12)


def loss_function(candidates: int = 1, gains: Gains | None = None) -> DetectionLoss:
    return DetectionLoss(DetectHead(CLASSES, [8], [STRIDE_PX]), gains, TaskAlignedAssigner(candidates))


def one_map(images: int = 1) -> Tensor:
    """A raw map (B, 64 + 2, 2, 2) in which only the last cell says something near `TRUE_BOX`, and is not sure of it."""
    rows = torch.zeros(images, 4, 4 * REG_MAX + CLASSES)
    rows[:, :, [REG_MAX - 1 + side * REG_MAX for side in range(4)]] = 20.0  # 15 cells on all sides
    rows[:, LAST] = 0
    for side, bin_ in enumerate((1, 1, 0, 0)):
        rows[:, LAST, side * REG_MAX + bin_] = 6.0
    rows[:, :, -2], rows[:, :, -1] = -1.0, 0.5
    return rows.transpose(1, 2).reshape(images, -1, 2, 2)


def targets(images: int, boxes: int, labelled: tuple[bool, bool] = (True, True)) -> Targets:
    """`boxes` objects of class 1, the one in the first image, the next in the next."""
    return Targets(
        torch.tensor([TRUE_BOX] * boxes).reshape(-1, 4),
        torch.ones(boxes, dtype=torch.int64),
        torch.arange(boxes),
        torch.tensor([labelled] * images),
    )


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum())


def complete_iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """CIoU of two boxes that overlap, in plain numbers."""
    inter = (min(a[2], b[2]) - max(a[0], b[0])) * (min(a[3], b[3]) - max(a[1], b[1]))
    area_a, area_b = ((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b))
    overlap = inter / (area_a + area_b - inter)
    squared = sum((a[i] + a[i + 2] - b[i] - b[i + 2]) ** 2 / 4 for i in (0, 1))
    diagonal = sum((max(a[i + 2], b[i + 2]) - min(a[i], b[i])) ** 2 for i in (0, 1))
    ratio_a, ratio_b = ((x2 - x1) / (y2 - y1) for x1, y1, x2, y2 in (a, b))
    v = 4 / math.pi**2 * (math.atan(ratio_a) - math.atan(ratio_b)) ** 2
    return overlap - squared / diagonal - v * v / (1 - overlap + v)


@pytest.mark.parametrize(("images", "boxes"), [(1, 1), (2, 1), (3, 3)])
def test_the_parts_by_hand(images: int, boxes: int) -> None:
    # Each side of the last cell says 6 for one bin and 0 for the 15 others.
    p = softmax(np.array([6.0] + [0.0] * (REG_MAX - 1)))
    bins = np.arange(REG_MAX)
    reach = [p[0] * bin_ + p[1] * (bins.sum() - bin_) for bin_ in (1, 1, 0, 0)]
    # Its centre is at (1.5, 1.5) cells.
    said = tuple(STRIDE_PX * side for side in (1.5 - reach[0], 1.5 - reach[1], 1.5 + reach[2], 1.5 + reach[3]))
    u = complete_iou(said, TRUE_BOX)
    assert 0.5 < u < 0.9

    # The only candidate is the best one, so it should reach max u = u. One object is at least asked for.
    total = max(boxes * u, 1)
    # BCE = log(1 + e^x) - x y, for the logits -1 and 0.5 of 4 cells
    entropy = images * 4 * (math.log1p(math.exp(-1)) + math.log1p(math.exp(0.5))) - boxes * 0.5 * u
    # TRUE_BOX is 11, 10, 3 and 1 px from (12, 12): 1.375, 1.25, 0.375 and 0.125 cells.
    sides = [
        -(0.625 * math.log(p[0]) + 0.375 * math.log(p[1])),  # bins 1 and 2, the first of which is said
        -(0.75 * math.log(p[0]) + 0.25 * math.log(p[1])),
        -(0.625 * math.log(p[0]) + 0.375 * math.log(p[1])),  # bins 0 and 1
        -(0.875 * math.log(p[0]) + 0.125 * math.log(p[1])),
    ]
    box = 7.5 * boxes * (1 - u) * u / total
    cls = 0.5 * entropy / total
    dfl = 1.5 * boxes * np.mean(sides) * u / total

    loss, parts = loss_function()([one_map(images)], targets(images, boxes))
    assert parts == pytest.approx((box, cls, dfl), rel=1e-4)
    assert loss.item() == pytest.approx(images * (box + cls + dfl), rel=1e-4)


def test_gains_weigh_the_parts() -> None:
    _, plain = loss_function(gains=Gains(1, 1, 1))([one_map()], targets(1, 1))
    _, weighted = loss_function(gains=Gains(2, 3, 5))([one_map()], targets(1, 1))
    assert weighted == pytest.approx((2 * plain.box, 3 * plain.cls, 5 * plain.dfl))


def test_a_batch_without_objects_only_lowers_scores() -> None:
    raw = one_map(2).requires_grad_()
    loss, parts = loss_function()([raw], targets(2, 0))
    entropy = 2 * 4 * (math.log1p(math.exp(-1)) + math.log1p(math.exp(0.5)))
    assert parts == pytest.approx((0, 0.5 * entropy, 0), rel=1e-4)
    (gradient,) = torch.autograd.grad(loss, raw)
    assert (gradient[:, : 4 * REG_MAX] == 0).all()
    assert (gradient[:, 4 * REG_MAX :] > 0).all()


@settings(max_examples=25)
@given(st.integers(0, 2**16), st.floats(-30, 30), st.sampled_from([0, 1]))
def test_an_unlabelled_class_adds_exactly_nothing(seed: int, logit: float, unlabelled: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randn(2, 4 * REG_MAX + CLASSES, n, n, generator=generator) for n in (4, 2)]
    labelled = torch.ones(2, CLASSES, dtype=torch.bool)
    labelled[0, unlabelled] = False
    known = Targets(
        torch.tensor([TRUE_BOX, TRUE_BOX]), torch.tensor([1 - unlabelled, 1]), torch.tensor([0, 1]), labelled
    )
    function = DetectionLoss(DetectHead(CLASSES, [8, 8], [STRIDE_PX, 2 * STRIDE_PX]))
    loss, parts = function(maps, known)
    channel = 4 * REG_MAX + unlabelled
    changed = [m.clone() for m in maps]
    for raw in changed:
        raw[0, channel] = logit
        raw.requires_grad_()
    again, same_parts = function(changed, known)
    assert again.item() == loss.item()
    assert same_parts == parts
    for gradient in torch.autograd.grad(again, changed):
        assert (gradient[0, channel] == 0).all()
        assert (gradient[1, channel] != 0).all()


def test_a_distance_between_two_bins_asks_for_both_by_nearness() -> None:
    logits = torch.randn(1, 4 * REG_MAX, generator=torch.Generator().manual_seed(0))
    log_p = [np.log(softmax(side)) for side in logits.double().numpy().reshape(4, REG_MAX)]
    found = distribution_focal(logits, torch.tensor([[0.0, 2.25, 7.5, 14.99]]))
    expected = [
        -log_p[0][0],
        -(0.75 * log_p[1][2] + 0.25 * log_p[1][3]),
        -(0.5 * log_p[2][7] + 0.5 * log_p[2][8]),
        -(0.01 * log_p[3][14] + 0.99 * log_p[3][15]),
    ]
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-4)


def test_a_side_further_than_the_bins_reach_asks_for_the_last() -> None:
    huge = replace(targets(1, 1), boxes=torch.tensor([[-300.0, -300, 300, 300]]))
    _, parts = loss_function()([one_map()], huge)
    # The first cell, at (4, 4), is as good as any of the three that say 15 cells, 120 px, to all sides.
    u = complete_iou((-116, -116, 124, 124), (-300, -300, 300, 300))
    # Those say 20 for the last bin and 0 for the others, and the distance is held at 14.99.
    p = softmax(np.array([20.0] + [0.0] * (REG_MAX - 1)))
    assert parts.dfl == pytest.approx(-1.5 * u * (0.99 * math.log(p[0]) + 0.01 * math.log(p[1])), rel=1e-3)


def test_a_new_head_expects_a_few_objects_on_every_level() -> None:
    strides_px = (8, 16, 32)
    head = DetectHead(80, [8, 8, 8], strides_px).eval()
    # Of features without anything in them only the biases remain.
    found = head([torch.zeros(1, 8, 640 // stride_px, 640 // stride_px) for stride_px in strides_px])
    assert isinstance(found, Tensor)
    by_level = torch.split(found[0], [(640 // stride_px) ** 2 for stride_px in strides_px], dim=1)
    for level, stride_px in zip(by_level, strides_px, strict=True):
        assert level[4:].sum().item() == pytest.approx(EXPECTED_OBJECTS, rel=0.01)
        # All distances are as likely: a box reaches the mean of 0 .. 15 cells to every side.
        torch.testing.assert_close(level[2:4], torch.full_like(level[2:4], 15.0 * stride_px))
