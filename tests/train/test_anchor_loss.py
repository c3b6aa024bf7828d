"""The loss of models with anchors: its parts by hand, its matches, and where it leads."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from streamdet.models.heads import AnchorHead
from streamdet.train.anchors import AnchorGains, AnchorLoss, match
from streamdet.train.assign import Targets

# One level with cells of 8 px and two anchors; the second is far too wide for the boxes below.
ANCHORS_PX = [[8.0, 8.0, 80.0, 8.0]]
GAINS = AnchorGains(box=1, cls=1, obj=1)


def head(class_count: int = 2) -> AnchorHead:
    return AnchorHead(class_count, ANCHORS_PX, channels=[4], strides_px=[8])


def one_box(*labelled: bool) -> Targets:
    """One object of class 0, centre (2, 6) px, 4 px wide and 8 px high."""
    return Targets(
        torch.tensor([[0.0, 2.0, 4.0, 10.0]]), torch.tensor([0]), torch.tensor([0]), torch.tensor([labelled])
    )


def flat_maps(*, objectness: float, classes: tuple[float, ...], images: int = 1) -> Tensor:
    """A grid of 2x2 cells that all predict the same: the anchor's shape in the middle of the cell."""
    numbers = torch.tensor([0.0, 0.0, 0.0, 0.0, objectness, *classes])
    return numbers.repeat(2)[None, :, None, None].expand(images, -1, 2, 2).clone()


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def by_hand() -> tuple[float, float]:
    """The CIoU of the two predictions that should find `one_box`, in cells from the corner of their cell.

    The centre is at (0.25, 0.75) of cell (row 0, column 0). The nearest neighbour in the row does not exist; that in
    the column is row 1. Both predict the square (0, 0, 1, 1).
    """
    # v = 4 / pi^2 (atan(1 / 1) - atan(0.5 / 1))^2
    v = 4 / math.pi**2 * (math.atan(1) - math.atan(0.5)) ** 2
    # Row 0: the box is (0, 0.25, 0.5, 1.25). Intersection 0.5 * 0.75, union 1 + 0.5 - 0.375; centres differ by
    # (0.25, 0.25); (0, 0, 1, 1.25) encloses both.
    iou = 0.375 / 1.125
    own = iou - 0.125 / (1 + 1.25**2) - v / (1 - iou + v) * v
    # Row 1: the box is (0, -0.75, 0.5, 0.25). Intersection 0.5 * 0.25, union 1.5 - 0.125; centres differ by
    # (0.25, 0.75); (0, -0.75, 1, 1) encloses both.
    iou = 0.125 / 1.375
    below = iou - 0.625 / (1 + 1.75**2) - v / (1 - iou + v) * v
    return own, below


def test_box_loss_is_what_is_missing_of_the_overlap() -> None:
    own, below = by_hand()
    _, parts = AnchorLoss(head(), GAINS)([flat_maps(objectness=1, classes=(2, -1))], one_box(True, True))
    # The mean of two predictions; the only level counts for three.
    assert parts.box == pytest.approx(3 * (2 - own - below) / 2, rel=1e-5)


def test_objectness_asks_for_the_overlap_where_the_box_is_and_for_nothing_elsewhere() -> None:
    own, below = by_hand()
    assert below < 0 < own  # a prediction that is worse than none is asked for no objectness
    _, parts = AnchorLoss(head(), GAINS)([flat_maps(objectness=1, classes=(2, -1))], one_box(True, True))
    # Of 2 * 2 cells with 2 anchors each costs softplus(1) - 1 * wanted. The finest level weighs 4, the only one counts
    # for three, and the image is 16x16 px, where the gain is for 640x640.
    expected = (8 * softplus(1) - own) / 8
    assert parts.objectness == pytest.approx(expected * 4 * 3 * 16 * 16 / 640**2, rel=1e-5)


def test_classes_are_learned_where_the_box_is() -> None:
    _, parts = AnchorLoss(head(), GAINS)([flat_maps(objectness=1, classes=(2, -1))], one_box(True, True))
    # Class 0 wanted: -ln sigma(2); class 1 not: -ln(1 - sigma(-1)). Two classes of 80.
    assert parts.cls == pytest.approx((softplus(-2) + softplus(-1)) / 2 * 3 * 2 / 80, rel=1e-5)


def test_the_loss_is_the_sum_of_its_parts_times_the_images() -> None:
    loss = AnchorLoss(head())
    single, parts = loss([flat_maps(objectness=1, classes=(2, -1))], one_box(True, True))
    assert float(single) == pytest.approx(sum(parts))
    targets = one_box(True, True)
    both = Targets(
        targets.boxes.repeat(2, 1), targets.class_ids.repeat(2), torch.tensor([0, 1]), targets.labelled.repeat(2, 1)
    )
    double, _ = loss([flat_maps(objectness=1, classes=(2, -1), images=2)], both)
    assert float(double) == pytest.approx(2 * float(single))


def test_published_gains() -> None:
    maps, targets = [flat_maps(objectness=1, classes=(2, -1))], one_box(True, True)
    _, parts = AnchorLoss(head())(maps, targets)
    _, plain = AnchorLoss(head(), GAINS)(maps, targets)
    assert parts == pytest.approx((0.05 * plain.box, 0.5 * plain.cls, 1.0 * plain.objectness))


def test_label_smoothing_moves_half_of_its_share_from_the_true_class() -> None:
    maps = [flat_maps(objectness=1, classes=(2, -1))]
    _, parts = AnchorLoss(head(), GAINS, label_smoothing=0.2)(maps, one_box(True, True))
    # BCE(x, t) = softplus(x) - t x, with t = 0.9 and 0.1
    expected = (softplus(2) - 0.9 * 2 + softplus(-1) + 0.1) / 2
    assert parts.cls == pytest.approx(expected * 3 * 2 / 80, rel=1e-5)


def test_a_class_that_is_not_labelled_adds_nothing_and_empty_cells_half() -> None:
    own, _ = by_hand()
    _, parts = AnchorLoss(head(), GAINS)([flat_maps(objectness=1, classes=(2, -1))], one_box(True, False))
    assert parts.cls == pytest.approx(softplus(-2) * 3 * 2 / 80, rel=1e-5)
    # Two predictions should find the box, six are of cells that may hold an object of the other class.
    expected = (2 * softplus(1) - own + 6 * softplus(1) / 2) / 8
    assert parts.objectness == pytest.approx(expected * 4 * 3 * 16 * 16 / 640**2, rel=1e-5)


def test_an_image_without_labelled_classes_teaches_nothing() -> None:
    nothing = Targets(
        torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(1, 2) > 0
    )
    raw = flat_maps(objectness=1, classes=(2, -1)).requires_grad_()
    loss, _ = AnchorLoss(head())([raw], nothing)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert raw.grad is not None and not raw.grad.any()
    # Labelled in full, the same image says that there is nothing.
    _, parts = AnchorLoss(head(), GAINS)([raw], replace(nothing, labelled=torch.ones(1, 2) > 0))
    assert parts == pytest.approx((0, 0, softplus(1) * 4 * 3 * 16 * 16 / 640**2))


def test_an_only_class_is_not_learned() -> None:
    _, parts = AnchorLoss(head(1), GAINS)([flat_maps(objectness=1, classes=(-3,))], one_box(True))
    assert parts.cls == 0


def test_where_two_boxes_meet_the_better_overlap_is_wanted() -> None:
    good, bad = [0.0, 0.0, 8.0, 8.0], [2.5, 2.5, 4.5, 4.5]
    losses = []
    for boxes in ([good, bad], [bad, good], [good, good]):
        targets = Targets(
            torch.tensor(boxes), torch.tensor([0, 0]), torch.tensor([0, 0]), torch.ones(1, 2, dtype=torch.bool)
        )
        _, parts = AnchorLoss(head(), GAINS)([flat_maps(objectness=1, classes=(0, 0))], targets)
        losses.append(parts.objectness)
    assert losses[0] == losses[1] == pytest.approx(losses[2], rel=0.02)


def test_levels_weigh_as_published() -> None:
    anchors = [[8.0, 8.0], [16.0, 16.0], [32.0, 32.0]]
    loss = AnchorLoss(AnchorHead(2, anchors, channels=[4] * 3, strides_px=[8, 16, 32]), GAINS)
    nothing = replace(one_box(True, True), boxes=torch.zeros(1, 4))  # fits no anchor
    found = []
    for level in range(3):
        maps = [torch.full((1, 7, 8 >> i, 8 >> i), -100.0) for i in range(3)]
        maps[level][:] = 0
        found.append(loss(maps, nothing)[1].objectness)
    scale = math.log(2) * 64 * 64 / 640**2
    assert found == pytest.approx([4.0 * scale, 1.0 * scale, 0.4 * scale])


boxes = st.lists(
    st.tuples(st.floats(0.01, 4.99), st.floats(0.01, 2.99), st.floats(0.05, 20), st.floats(0.05, 20)),
    min_size=1,
    max_size=6,
)


@given(boxes)
def test_matches_are_those_of_the_definition(cxcywh: list[tuple[float, float, float, float]]) -> None:
    anchors = [(1.0, 1.0), (4.0, 2.0), (0.3, 6.0)]
    rows = torch.tensor(cxcywh, dtype=torch.float64)
    found = match(rows[:, :2], rows[:, 2:], torch.tensor(anchors, dtype=torch.float64), (3, 5))
    expected = set()
    for target, (cx, cy, w, h) in enumerate(cxcywh):
        # The two nearest of the four neighbours of the cell with the centre, by the distance of their centres.
        row, column = int(cy), int(cx)
        beside = min((column - 1, column + 1), key=lambda c: (abs(c + 0.5 - cx), -c))
        above = min((row - 1, row + 1), key=lambda r: (abs(r + 0.5 - cy), -r))
        for anchor, (wa, ha) in enumerate(anchors):
            if max(w / wa, wa / w, h / ha, ha / h) < 4:
                cells = [(row, column), (row, beside), (above, column)]
                expected |= {(target, anchor, r, c) for r, c in cells if 0 <= r < 3 and 0 <= c < 5}
    assert set(zip(*(column.tolist() for column in found), strict=True)) == expected
    assert len(found.target) == len(expected)


def test_descending_the_loss_ends_in_the_objects() -> None:
    objects = Targets(
        torch.tensor([[3.0, 4.0, 25.0, 30.0], [40.0, 10.0, 58.0, 40.0], [8.0, 30.0, 60.0, 62.0]]),
        torch.tensor([0, 1, 2]),
        torch.tensor([0, 0, 1]),
        torch.ones(2, 3, dtype=torch.bool),
    )
    model = AnchorHead(3, [[20.0, 24.0], [48.0, 40.0]], channels=[8, 8], strides_px=[8, 16])
    maps = [torch.zeros(2, 8, 8, 8, requires_grad=True), torch.zeros(2, 8, 4, 4, requires_grad=True)]
    loss = AnchorLoss(model, AnchorGains(box=1, cls=20, obj=100))
    optimizer = torch.optim.Adam(maps, lr=0.15)
    for _ in range(150):
        optimizer.zero_grad()
        loss(maps, objects)[0].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    # Convolutions that hand on what they get, so that the head decodes the maps themselves.
    handing_on = {f"m.{i}.weight": torch.eye(8)[:, :, None, None] for i in range(2)}
    model.load_state_dict(handing_on | {f"m.{i}.bias": torch.zeros(8) for i in range(2)}, strict=False)
    rows = model.eval()([m.detach() for m in maps]).detach()
    center, size, scores = rows[:, :2], rows[:, 2:4], rows[:, 4:]
    corners = torch.cat((center - size / 2, center + size / 2), dim=1)
    for box, class_id, image in zip(objects.boxes, objects.class_ids, objects.image_index, strict=True):
        best = int(scores[image, class_id].argmax())
        assert scores[image, class_id, best] > 0.9
        torch.testing.assert_close(corners[image, :, best], box, rtol=0, atol=1)
    # Nothing else is found: every confident row is one of the objects.
    for image in range(2):
        true = objects.boxes[objects.image_index == image]
        confident = corners[image, :, scores[image].amax(0) > 0.5].T
        assert float((confident[:, None] - true).abs().amax(2).amin(1).max()) < 2
