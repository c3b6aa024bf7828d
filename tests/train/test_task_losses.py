"""The losses of masks, key points, rotated boxes and classes, against figures worked out by hand."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from streamdet.errors import InputError
from streamdet.models.heads import REG_MAX, RawMaps
from streamdet.models.table import resolve
from streamdet.models.task_heads import PoseHead, RotatedHead, SegmentHead
from streamdet.models.weights import Network
from streamdet.train.assign import Targets, TaskAlignedAssigner
from streamdet.train.config import TrainConfig
from streamdet.train.criterion import ClassGains, ClassificationLoss, build_criterion
from streamdet.train.loss import DetectionLoss
from streamdet.train.mask_loss import SegmentLoss, mask_loss
from streamdet.train.pose_loss import PoseLoss, keypoint_loss
from streamdet.train.rotated_loss import RotatedAssigner, RotatedLoss, prob_iou, side_distances, turned

CLASSES, STRIDE_PX = 2, 8


def maps(images: int = 1) -> list[Tensor]:
    """Return the raw maps of one level of 4 x 4 cells, whose every cell states the same."""
    raw = torch.zeros(images, 4 * REG_MAX + CLASSES, 4, 4)
    raw[:, 2 : 4 * REG_MAX : REG_MAX] = 4.0  # each side about 2 cells away
    return [raw]


def target(boxes: Sequence[Sequence[float]], **stated: Tensor) -> Targets:
    count = len(boxes)
    labelled = torch.ones(1, CLASSES, dtype=torch.bool)
    zeros = torch.zeros(count, dtype=torch.int64)
    return Targets(torch.tensor(boxes).float().view(-1, 4), zeros, zeros.clone(), labelled, **stated)


# Masks.


def test_a_mask_is_learned_inside_its_box_and_weighs_by_its_area() -> None:
    prototypes = torch.stack([torch.full((4, 6), 2.0), torch.full((4, 6), -1.0)])
    coefficients = torch.tensor([[1.0, 0.5], [0.0, 0.0]])
    masks = torch.zeros(2, 4, 6)
    masks[:, 1:3, 1:3] = 1
    boxes = torch.tensor([[1.0, 1.0, 4.0, 3.0], [0.0, 0.0, 6.0, 4.0]])
    # The first states 2 - 0.5 = 1.5 in its 3 x 2 cells, of which 4 are of the object; the second states 0 everywhere.
    inside, outside = math.log1p(math.exp(-1.5)), math.log1p(math.exp(1.5))
    expected = [(4 * inside + 2 * outside) / 6, math.log(2)]
    assert mask_loss(coefficients, prototypes, masks, boxes).tolist() == pytest.approx(expected, rel=1e-5)


def test_a_box_between_cells_counts_their_centres() -> None:
    prototypes, masks = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    # From 0.6 to 2.4: only the centre at 1.5 is inside, in each direction; the area is 1.8^2.
    loss = mask_loss(torch.zeros(1, 1), prototypes, masks, torch.tensor([[0.6, 0.6, 2.4, 2.4]]))
    assert loss.item() == pytest.approx(math.log(2) / 1.8**2, rel=1e-5)


def segment_loss(images: int = 1) -> SegmentLoss:
    return SegmentLoss(SegmentHead(CLASSES, 1, 8, [8], [STRIDE_PX]), assigner=TaskAlignedAssigner(1))


def test_masks_are_averaged_over_cells_and_added_to_the_loss_of_boxes() -> None:
    boxes = [[0, 0, 16, 16], [16, 16, 32, 32]]
    masks = torch.zeros(2, 8, 8, dtype=torch.uint8)
    masks[0, :4, :4] = 1  # all of its box; nothing of the other
    extras = torch.full((1, 1, 16), 2.0)
    output = RawMaps(maps(), extras, torch.ones(1, 1, 8, 8))
    loss, parts = segment_loss()(output, target(boxes, masks=masks))
    assert parts.seg == pytest.approx(7.5 * (math.log1p(math.exp(-2)) + math.log1p(math.exp(2))) / 2, rel=1e-5)
    of_boxes, plain = DetectionLoss(SegmentHead(CLASSES, 1, 8, [8], [STRIDE_PX]), assigner=TaskAlignedAssigner(1))(
        maps(), target(boxes)
    )
    assert parts[:3] == pytest.approx(plain)
    assert loss.item() == pytest.approx(of_boxes.item() + parts.seg)


def test_masks_of_another_size_are_resampled() -> None:
    fine = torch.zeros(1, 16, 16, dtype=torch.uint8)
    fine[0, :8, :8] = 1
    output = RawMaps(maps(), torch.full((1, 1, 16), 2.0), torch.ones(1, 1, 8, 8))
    _, parts = segment_loss()(output, target([[0, 0, 16, 16]], masks=fine))
    assert parts.seg == pytest.approx(7.5 * math.log1p(math.exp(-2)), rel=1e-5)


def test_without_objects_masks_cost_nothing_and_have_gradients() -> None:
    prototypes = torch.ones(1, 1, 8, 8, requires_grad=True)
    empty = torch.zeros(0, 8, 8, dtype=torch.uint8)
    loss, parts = segment_loss()(RawMaps(maps(), torch.zeros(1, 1, 16), prototypes), target([], masks=empty))
    assert parts.seg == 0
    (gradient,) = torch.autograd.grad(loss, prototypes)
    assert not gradient.any()


# Key points.


def test_places_are_learned_by_their_similarity() -> None:
    # With 2 key points sigma is 1 / 2:  1 - exp(-d^2 / (2 area)), with an area of 200 px^2
    truth = torch.tensor([[[10.0, 10.0, 2.0], [20.0, 20.0, 1.0]], [[10.0, 10.0, 0.0], [20.0, 20.0, 2.0]]])
    places = torch.tensor([[[13.0, 14.0], [20.0, 20.0]], [[99.0, 99.0], [20.0, 30.0]]])
    boxes = torch.tensor([[0.0, 0.0, 20.0, 10.0]] * 2)
    expected = [(1 - math.exp(-25 / 400)) / 2, 1 - math.exp(-100 / 400)]
    assert keypoint_loss(places, truth, boxes).tolist() == pytest.approx(expected, rel=1e-5)


def test_the_nose_of_a_person_is_placed_more_exactly_than_a_hip() -> None:
    truth = torch.zeros(2, 17, 3)
    truth[0, 0, 2] = truth[1, 11, 2] = 2
    loss = keypoint_loss(torch.full((2, 17, 2), 2.0), truth, torch.tensor([[0.0, 0.0, 20.0, 50.0]] * 2))
    expected = [1 - math.exp(-8 / (2 * 1000 * (2 * sigma) ** 2)) for sigma in (0.026, 0.107)]
    assert loss.tolist() == pytest.approx(expected, rel=1e-4)


def pose_loss() -> PoseLoss:
    return PoseLoss(PoseHead(CLASSES, (2, 3), [8], [STRIDE_PX]), assigner=TaskAlignedAssigner(1))


def test_a_pose_is_that_of_the_cell_that_learns_the_object() -> None:
    # The one cell inside of the box, the second of the second row, has its centre at (12, 12).
    logits = torch.zeros(1, 6, 16)
    logits[0, :, 5] = torch.tensor([0.5, 0.25, 3.0, 0.0, 0.0, -1.0])
    # x = 8 (2 t + 1): the first point is at (16, 12), the second at (8, 8)
    keypoints = torch.tensor([[[16.0, 12.0, 2.0], [8.0, 11.0, 1.0]]])
    _, parts = pose_loss()(RawMaps(maps(), logits), target([[8.1, 8.1, 15.9, 15.9]], keypoints=keypoints))
    assert parts.pose == pytest.approx(12 * (1 - math.exp(-9 / (2 * 7.8**2))) / 2, rel=1e-4)
    assert parts.kobj == pytest.approx((math.log1p(math.exp(-3)) + math.log1p(math.exp(1))) / 2, rel=1e-5)


@pytest.mark.parametrize("boxes", [[], [[8.1, 8.1, 15.9, 15.9]]])
def test_objects_without_key_points_teach_no_pose(boxes: list[list[float]]) -> None:
    logits = torch.ones(1, 6, 16, requires_grad=True)
    truth = target(boxes, keypoints=torch.zeros(len(boxes), 2, 3))
    loss, parts = pose_loss()(RawMaps(maps(), logits), truth)
    assert (parts.pose, parts.kobj) == (0, 0)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient.any()


# Rotated boxes.


def rotated(*rows: Sequence[float]) -> Tensor:
    return torch.tensor(rows)


def test_overlap_of_rotated_boxes_by_hand() -> None:
    box = rotated([10.0, 20.0, 12.0, 6.0, 0.7])
    assert prob_iou(box, box).item() == pytest.approx(1, abs=1e-3)
    # Equal shapes, shifted by d along the width: B = d^2 / (8 sigma^2) with sigma^2 = w^2 / 12
    moved = rotated([10 + 4 * math.cos(0.7), 20 + 4 * math.sin(0.7), 12.0, 6.0, 0.7])
    assert prob_iou(box, moved).item() == pytest.approx(1 - math.sqrt(1 - math.exp(-16 / (8 * 12))), rel=1e-4)
    # The same centre and angle, and twice the width: B = ln((1 + 4) / (2 sqrt(4))) / 2
    wider = rotated([10.0, 20.0, 24.0, 6.0, 0.7])
    assert prob_iou(box, wider).item() == pytest.approx(1 - math.sqrt(1 - math.sqrt(4 / 5)), rel=1e-4)
    # A quarter turn of 12 x 6 makes it 6 x 12: both axes are as if they were twice as wide.
    across = rotated([10.0, 20.0, 12.0, 6.0, 0.7 + math.pi / 2])
    assert prob_iou(box, across).item() == pytest.approx(1 - math.sqrt(1 - 4 / 5), rel=1e-4)


sides = st.floats(2, 60)
boxes = st.tuples(st.floats(-30, 30), st.floats(-30, 30), sides, sides, st.floats(-2, 2))


@given(boxes, boxes, st.floats(-3, 3), st.tuples(st.floats(-50, 50), st.floats(-50, 50)))
def test_overlap_depends_on_the_rectangles_alone(
    a: tuple[float, ...], b: tuple[float, ...], angle: float, shift: tuple[float, float]
) -> None:
    one, other = rotated(a).double(), rotated(b).double()
    expected = prob_iou(one, other)
    assert 0 <= expected <= 1
    assert prob_iou(other, one) == pytest.approx(expected, abs=1e-6)
    exchanged = one[:, [0, 1, 3, 2, 4]] + torch.tensor([0, 0, 0, 0, math.pi / 2])
    assert prob_iou(exchanged, other) == pytest.approx(expected, abs=1e-6)
    turn = torch.tensor([[angle]], dtype=torch.float64)
    carried = [
        torch.cat([turned(each[:, :2], turn) + torch.tensor([shift]), each[:, 2:4], each[:, 4:] + turn], 1)
        for each in (one, other)
    ]
    assert prob_iou(*carried) == pytest.approx(expected, abs=1e-5)


def test_overlap_has_gradients_where_boxes_are_equal_or_far() -> None:
    truth = rotated([10.0, 20.0, 12.0, 6.0, 0.7], [10.0, 20.0, 12.0, 6.0, 0.7])
    said = truth.clone() + torch.tensor([[0.0] * 5, [1e4, 0, 0, 0, 0]])
    said.requires_grad_()
    (gradient,) = torch.autograd.grad(prob_iou(said, truth).sum(), said)
    assert torch.isfinite(gradient).all()


def test_sides_are_counted_along_the_axes_of_the_box() -> None:
    # From the centre of a box that is turned by 90 degrees, a step down (y) is one to the right along its width.
    truth = rotated([80.0, 80.0, 48.0, 16.0, math.pi / 2])
    point = torch.tensor([[10.0, 11.0]])
    # The width points down: 3 cells each way, of which 1 is passed; the height 1 cell each way.
    expected = [[4.0, 1.0, 2.0, 1.0]]
    np.testing.assert_allclose(side_distances(point, truth, torch.tensor([[8.0]])), expected, atol=1e-5)


def rotated_output(angle: float) -> RawMaps:
    return RawMaps(maps(), torch.full((1, 1, 16), angle))


def rotated_loss() -> RotatedLoss:
    return RotatedLoss(RotatedHead(CLASSES, 1, [8], [STRIDE_PX]), assigner=RotatedAssigner(1))


def test_the_loss_decodes_boxes_as_the_head_does() -> None:
    torch.manual_seed(0)
    head = RotatedHead(CLASSES, 1, [8], [STRIDE_PX])
    features = [torch.randn(1, 8, 4, 4)]
    # Raw maps with batch norms as in eval mode: only the head itself is told to train.
    head.eval().training = True
    raw = head(features)
    found = head.eval()(features)
    assert isinstance(raw, RawMaps)
    assert isinstance(found, Tensor)
    said = RotatedLoss(head)._predicted(raw).boxes
    np.testing.assert_allclose(said[0].detach(), found[0, [0, 1, 2, 3, -1]].T.detach(), rtol=1e-5, atol=1e-4)


def test_cells_inside_the_turned_rectangle_are_candidates() -> None:
    points = torch.tensor([(x + 0.5, y + 0.5) for y in range(8) for x in range(8)]) * 8
    # A bar of 80 x 12 px along the diagonal: the cells of the diagonal, whose upright box has all 64.
    bar = rotated([32.0, 32.0, 80.0, 12.0, math.pi / 4])
    truth = target([[0, 0, 64, 64]], rotated=bar)
    inside = RotatedAssigner()._inside(points, truth, torch.tensor(8.0))
    diagonal = [index for index in range(64) if abs(index // 8 - index % 8) == 0]
    neighbours = [index for index in range(64) if abs(index // 8 - index % 8) == 1]
    assert inside[0].nonzero().flatten().tolist() == sorted([*diagonal, *neighbours])
    thin = target([[0, 0, 64, 64]], rotated=rotated([32.0, 32.0, 80.0, 1.0, math.pi / 4]))
    assert RotatedAssigner()._inside(points, thin, torch.tensor(8.0))[0].nonzero().flatten().tolist() == diagonal


@pytest.mark.parametrize("quarter", [-1, 0, 1, 2])
def test_it_is_all_the_same_how_a_rectangle_is_stated(quarter: int) -> None:
    width, height = (18.0, 14.0) if quarter % 2 == 0 else (14.0, 18.0)
    stated = rotated([16.0, 16.0, width, height, 0.3 + quarter * math.pi / 2])
    _, parts = rotated_loss()(rotated_output(0.35), target([[0, 0, 32, 32]], rotated=stated))
    _, plain = rotated_loss()(
        rotated_output(0.35), target([[0, 0, 32, 32]], rotated=rotated([16.0, 16.0, 18.0, 14.0, 0.3]))
    )
    assert parts == pytest.approx(plain, rel=1e-4)


def test_the_angle_by_hand() -> None:
    stated = rotated([16.0, 16.0, 18.0, 14.0, 0.3])
    loss, parts = rotated_loss()(rotated_output(0.5), target([[0, 0, 32, 32]], rotated=stated))
    # The one candidate reaches its own overlap u, and total is at least 1: every part weighs u.
    u = parts.angle / math.sin(0.4) ** 2
    assert parts.box == pytest.approx(7.5 * u * (1 - u), rel=1e-3)
    assert loss.item() == pytest.approx(sum(parts), rel=1e-5)


# Whole images, and the choice of the loss.


def test_a_class_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    ids = torch.tensor([0, 2])
    whole = Targets(torch.zeros(2, 4), ids, torch.tensor([0, 1]), torch.ones(2, 3, dtype=torch.bool))
    expected = (math.log(math.exp(2) + 2) - 2 + math.log(math.exp(1) + 2)) / 2
    loss, parts = ClassificationLoss(ClassGains(0.5))(logits, whole)
    assert (loss.item(), parts.cls) == pytest.approx((expected / 2, expected / 2))


def test_an_image_without_a_class_teaches_nothing() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    nothing = Targets(torch.zeros(0, 4), none, none, torch.ones(1, 3, dtype=torch.bool))
    assert ClassificationLoss()(torch.ones(1, 3), nothing)[1].cls == 0


HEADS = {
    "segment": ([[[0], 1, "Segment", [CLASSES, 4, 8]]], ("box", "cls", "dfl", "seg")),
    "pose": ([[[0], 1, "Pose", [CLASSES, [5, 3]]]], ("box", "cls", "dfl", "pose", "kobj")),
    "obb": ([[[0], 1, "OBB", [CLASSES, 1]]], ("box", "cls", "dfl", "angle")),
    "classify": ([[0, 1, "Classify", [CLASSES]]], ("cls",)),
}


def headed(task: str) -> Network:
    table = {"nc": CLASSES, "backbone": [[-1, 1, "Conv", [8, 3, 2]]], "head": HEADS[task][0]}
    return Network(resolve(table, task))


@pytest.mark.parametrize("task", HEADS)
def test_a_head_has_the_loss_of_its_task_and_stated_gains(task: str) -> None:
    criterion = build_criterion(headed(task), TrainConfig(cls=0.25, kobj=2.0))
    gains = getattr(criterion, "gains")  # noqa: B009
    assert gains._fields == HEADS[task][1]
    assert (gains.cls, getattr(gains, "kobj", 2.0), getattr(gains, "box", 7.5)) == (0.25, 2.0, 7.5)


def test_rotated_boxes_have_one_assigner() -> None:
    with pytest.raises(InputError, match="assigner: expected task_aligned for rotated boxes, found 'atss'"):
        build_criterion(headed("obb"), TrainConfig(assigner="atss"))
