from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from streamdet.train import augment, mixing
from streamdet.train.augment import Example, area
from streamdet.train.config import Augmentation
from streamdet.train.mixing import joined_examples

from .rectangles import Box, coloured, painted, seen


@pytest.mark.parametrize(("hw", "size_px", "expected"), [((60, 100), 50, (30, 50)), ((100, 60), 300, (300, 180))])
def test_resizing_brings_the_longer_side_to_size_and_boxes_with_it(
    hw: tuple[int, int], size_px: int, expected: tuple[int, int]
) -> None:
    example = painted(hw, [(10, 20, 40, 50)]).resized(size_px)
    assert example.hw == expected
    np.testing.assert_allclose(example.boxes[0], np.array([10, 20, 40, 50]) * size_px / 100)
    shown = seen(example.image, 0)
    assert shown is not None
    np.testing.assert_allclose(example.boxes[0], shown, atol=1)


def test_an_image_of_the_right_size_is_left_alone() -> None:
    example = painted((60, 100), [(10, 20, 40, 50)])
    assert example.resized(100) is example


def test_a_line_of_pixels_keeps_one_row() -> None:
    assert painted((1, 400), []).resized(100).hw == (1, 100)


def test_clipping_keeps_what_shows_a_tenth_and_two_pixels() -> None:
    boxes = [
        (-10, 10, 10, 20),  # half of it shows
        (90, 10, 190, 20),  # a tenth
        (91, 10, 191, 20),  # less
        (98, 10, 100, 12),  # two pixels
        (98.5, 10, 100, 12),  # less
        (110, 10, 120, 20),  # nothing
    ]
    example = Example(np.zeros((50, 100, 3), np.uint8), np.arange(6), np.array(boxes, np.float32)).clipped()
    assert example.class_ids.tolist() == [0, 1, 3]
    np.testing.assert_array_equal(example.boxes, [(0, 10, 10, 20), (90, 10, 100, 20), (98, 10, 100, 12)])


def test_clipping_compares_with_the_area_that_is_stated() -> None:
    example = painted((50, 100), [(0, 0, 10, 10), (20, 0, 30, 10)])
    left = example.clipped(areas_before=np.array([1000, 1001], np.float32))
    assert left.class_ids.tolist() == [0]


def test_an_image_without_objects_stays_one() -> None:
    empty = painted((50, 100), []).resized(20).clipped()
    assert empty.boxes.shape == (0, 4)
    assert empty.only(np.zeros(0, np.bool_)).class_ids.shape == (0,)


def test_joining_keeps_all_objects_in_order() -> None:
    a, b = painted((50, 100), [(0, 0, 10, 10)]), painted((20, 20), [(5, 5, 9, 9), (10, 10, 19, 19)], first=1)
    both = joined_examples(a.image, [a, b])
    assert both.class_ids.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(both.boxes, [(0, 0, 10, 10), (5, 5, 9, 9), (10, 10, 19, 19)])
    assert both.image is a.image


def test_area_of_a_box_turned_inside_out_is_0() -> None:
    np.testing.assert_array_equal(area(np.array([[0, 0, 2, 3], [5, 0, 3, 3], [0, 0, 0, 9]], np.float32)), [6, 0, 0])


SIZE_PX = 128
BOXES: list[Box] = [(8, 10, 50, 40), (70, 5, 120, 60), (10, 70, 40, 120), (60, 80, 110, 100)]
STILL = Augmentation(scale=0, translate=0)


def whole(boxes: list[Box] = BOXES, first: int = 0) -> Example:
    return painted((SIZE_PX, SIZE_PX), boxes, first)


def assert_true(example: Example, within_px: float = 1.5) -> None:
    """Every box encloses the pixels of its colour as closely as pixels allow, and has colour inside."""
    for class_id, box in zip(example.class_ids, example.boxes, strict=True):
        shown = seen(example.image, int(class_id))
        assert shown is not None
        np.testing.assert_allclose(box, shown, atol=within_px)


def assert_only_scraps_dropped(before: Example, after: Example, scale: float, least: float = 0.1) -> None:
    """What has no box any more shows less than `least` of its area, or less than two pixels."""
    for class_id, size in zip(before.class_ids, area(before.boxes), strict=True):
        if class_id not in after.class_ids:
            shown = coloured(after.image, int(class_id))
            thin = min(shown.any(0).sum(), shown.any(1).sum()) <= 2
            assert thin or shown.sum() <= least * size * scale * 1.1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "settings",
    [
        Augmentation(scale=0.5, translate=0),
        Augmentation(scale=0, translate=0.6),
        Augmentation(scale=0, translate=0, degrees=180),
        Augmentation(scale=0, translate=0, shear=30),
        Augmentation(scale=0.5, translate=0.3, degrees=20, shear=10),
    ],
    ids=["scale", "translate", "turn", "shear", "all"],
)
def test_warp(settings: Augmentation, seed: int) -> None:
    before = whole()
    after = augment.warp(before, SIZE_PX, settings, np.random.default_rng(seed))
    assert after.hw == (SIZE_PX, SIZE_PX)
    assert (after.boxes >= 0).all()
    assert (after.boxes <= SIZE_PX).all()
    if settings.degrees or settings.shear:
        # Of a turned rectangle that is cut by the edge, the box of its corners shows more than its pixels.
        after = after.only(np.all((after.boxes > 0) & (after.boxes < SIZE_PX), axis=1))
    else:
        assert_only_scraps_dropped(before, after, scale=1.5**2)
    assert_true(after)


def test_warp_drops_what_leaves_the_image() -> None:
    settings = Augmentation(scale=0, translate=1)
    counts = [len(augment.warp(whole(), SIZE_PX, settings, np.random.default_rng(s)).boxes) for s in range(8)]
    assert min(counts) < 4
    assert max(counts) > 0


@pytest.mark.parametrize("seed", range(4))
def test_warp_is_right_to_a_fraction_of_a_pixel(seed: int) -> None:
    sharp = whole([(40, 50, 90, 80)])
    # Soft edges survive being sampled; they spread to both sides, so that the centre of what is red stays.
    before = replace(sharp, image=np.asarray(cv2.blur(sharp.image, (9, 9)), np.uint8))
    after = augment.warp(before, SIZE_PX, Augmentation(scale=0.5, translate=0.1), np.random.default_rng(seed))
    red = after.image[:, :, 0] * (after.image[:, :, 1] == 0)  # the grey beside the image is not red
    y, x = np.indices(red.shape) + 0.5
    center = [np.average(axis, weights=red) for axis in (x, y)]
    np.testing.assert_allclose((after.boxes[0, :2] + after.boxes[0, 2:]) / 2, center, atol=0.05)


def test_warp_without_change_is_identity() -> None:
    before = whole()
    after = augment.warp(before, SIZE_PX, STILL, np.random.default_rng(0))
    np.testing.assert_array_equal(after.image, before.image)
    np.testing.assert_allclose(after.boxes, before.boxes, atol=1e-4)


def test_warp_puts_a_smaller_image_in_the_middle_of_grey() -> None:
    after = augment.warp(painted((64, 128), [(10, 10, 60, 50)]), SIZE_PX, STILL, np.random.default_rng(0))
    np.testing.assert_allclose(after.boxes, [(10, 42, 60, 82)], atol=1e-4)
    assert (after.image[:32] == 114).all()
    assert_true(after)


@pytest.mark.parametrize("seed", range(8))
def test_mosaic(seed: int) -> None:
    shapes = [(128, 90), (70, 128), (128, 128), (100, 128)]
    examples = [painted(hw, [(10, 20, 60, 65)], first=index) for index, hw in enumerate(shapes)]
    after = mixing.mosaic(examples, SIZE_PX, np.random.default_rng(seed))
    assert after.hw == (2 * SIZE_PX, 2 * SIZE_PX)
    assert_true(after, within_px=0)
    for example in examples:
        assert_only_scraps_dropped(example, after, scale=1)
    assert len(after.boxes) >= 2


def test_mosaic_is_decided_by_the_generator() -> None:
    first, same, other = (
        mixing.mosaic([whole()] * 4, SIZE_PX, np.random.default_rng(seed)).image for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@pytest.mark.parametrize(
    "settings",
    [Augmentation(fliplr=1), Augmentation(fliplr=0, flipud=1), Augmentation(fliplr=1, flipud=1)],
    ids=["lr", "ud", "both"],
)
def test_flip(settings: Augmentation) -> None:
    before = painted((90, SIZE_PX), [(8, 10, 50, 40), (70, 5, 120, 60)])
    rng = np.random.default_rng(0)
    once = augment.flip(before, settings, rng)
    assert_true(once, within_px=0)
    assert (once.image != before.image).any()
    twice = augment.flip(once, settings, rng)
    np.testing.assert_array_equal(twice.image, before.image)
    np.testing.assert_array_equal(twice.boxes, before.boxes)


def test_flip_is_as_frequent_as_stated() -> None:
    rng, before = np.random.default_rng(0), whole()
    flipped = [(augment.flip(before, Augmentation(fliplr=0.25), rng).image != before.image).any() for _ in range(400)]
    assert np.mean(flipped) == pytest.approx(0.25, abs=0.06)


def test_hsv_leaves_boxes() -> None:
    before = whole()
    after = augment.hsv(before, Augmentation(hsv_h=0.1), np.random.default_rng(0))
    assert after.boxes is before.boxes
    assert (after.image != before.image).any()


@pytest.mark.parametrize("seed", range(5))
def test_hsv_changes_each_by_at_most_its_gain(seed: int) -> None:
    image = np.full((4, 4, 3), (200, 100, 100), np.uint8)  # saturation a half, value 200
    plain = Example(image, np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
    dimmed = augment.hsv(plain, Augmentation(hsv_h=0, hsv_s=0, hsv_v=0.4), np.random.default_rng(seed)).image[0, 0]
    assert 0.6 * 200 - 1 <= dimmed[0] <= min(1.4 * 200, 255)
    assert dimmed[1] / dimmed[0] == pytest.approx(0.5, abs=0.02)
    washed = augment.hsv(plain, Augmentation(hsv_h=0, hsv_s=0.5, hsv_v=0), np.random.default_rng(seed)).image[0, 0]
    assert washed[0] == 200
    assert 0.25 - 0.01 <= 1 - washed[1] / 200 <= 0.75 + 0.01
    turned = augment.hsv(plain, Augmentation(hsv_h=0.1, hsv_s=0, hsv_v=0), np.random.default_rng(seed)).image[0, 0]
    # 0.1 of the circle is 36 degrees from red: the second channel goes at most 36 / 60 of the way up.
    assert (turned.max(), turned.min()) == (200, 100)
    assert np.median(turned) <= 100 + 100 * 36 / 60 + 4


def test_no_gain_is_identity() -> None:
    before = whole()
    after = augment.hsv(before, Augmentation(hsv_h=0, hsv_s=0, hsv_v=0), np.random.default_rng(0))
    np.testing.assert_array_equal(after.image, before.image)


def test_mixup_shows_both_and_keeps_both() -> None:
    a, b = whole(BOXES[:2]), whole(BOXES[2:], first=2)
    after = mixing.mixup(a, b, 32.0, np.random.default_rng(0))
    assert after.class_ids.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(after.boxes, np.concatenate((a.boxes, b.boxes)))
    share = after.image[20, 20, 0] / 255  # red is only in a, blue only in b
    assert 0.25 < share < 0.75
    assert after.image[90, 20, 2] / 255 == pytest.approx(1 - share, abs=0.01)


def test_the_shares_of_mixup_spread_with_a_small_alpha() -> None:
    def shares(alpha: float) -> list[float]:
        mixed = (mixing.mixup(whole(), painted((SIZE_PX, SIZE_PX), []), alpha, rng) for _ in range(200))
        return [int(each.image[20, 20, 0]) / 255 for each in mixed]

    rng = np.random.default_rng(0)
    # The variance of Beta(a, a) is 1 / (8 a + 4).
    for alpha in (0.5, 8.0):
        assert np.std(shares(alpha)) == pytest.approx((8 * alpha + 4) ** -0.5, rel=0.15)


@pytest.mark.parametrize("seed", range(20))
def test_perspective(seed: int) -> None:
    before = whole()
    after = augment.perspective(before, Augmentation(perspective=0.001), np.random.default_rng(seed))
    assert len(after.boxes) > 0
    assert after.hw == before.hw
    assert_true(after, within_px=1.5)
    assert (after.image != before.image).any()


def test_perspective_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    class Drawn:
        def uniform(self, low: float, high: float, count: int) -> np.ndarray:
            return np.array([high, 0.0])

    # With 640 px of 0.001 for an image of 128 px, 0.005 a px: 32 px to the right of the middle, p' = 32 / 1.16, and
    # 32 px to the left, p' = -32 / 0.84. The height grows at the left: 16 / 0.84.
    before = painted((128, 128), [(32, 48, 96, 80)])
    after = augment.perspective(before, Augmentation(perspective=0.001), Drawn())  # type: ignore[arg-type]
    expected = [64 - 32 / 0.84, 64 - 16 / 0.84, 64 + 32 / 1.16, 64 + 16 / 0.84]
    np.testing.assert_allclose(after.boxes[0], expected, rtol=1e-5)
    assert_true(after, within_px=1.5)


@pytest.mark.parametrize("seed", range(20))
def test_cutmix(seed: int) -> None:
    a, b = whole(BOXES[:2]), whole([(5, 15, 60, 70), (66, 60, 122, 118)], first=4)
    after = mixing.cutmix(a, b, np.random.default_rng(seed))
    for before in (a, b):
        assert_only_scraps_dropped(before, after, scale=1, least=0.4)
    # Of the image beneath, an object keeps its box while enough of it shows; of the patch, it is what shows of it.
    assert_true(after.only(after.class_ids >= 4), within_px=0)
    for class_id, box in zip(after.class_ids, after.boxes, strict=True):
        if class_id < 4:
            np.testing.assert_array_equal(box, a.boxes[class_id])
            assert coloured(after.image, int(class_id)).sum() >= 0.4 * area(box[None])[0] - 1


@pytest.mark.parametrize("seed", range(20))
def test_cutout(seed: int) -> None:
    before = whole()
    after = mixing.cutout(before, np.random.default_rng(seed))
    np.testing.assert_array_equal(after.boxes, before.boxes[after.class_ids])
    assert (after.image != before.image).any()
    assert_only_scraps_dropped(before, after, scale=1, least=0.4)
    for class_id in after.class_ids:
        assert coloured(after.image, int(class_id)).sum() >= 0.4 * area(before.boxes)[class_id]


@pytest.mark.parametrize(
    "change",
    [
        lambda e, rng: augment.warp(e, SIZE_PX, Augmentation(degrees=10), rng),
        lambda e, rng: mixing.mosaic([e] * 4, SIZE_PX, rng),
        lambda e, rng: augment.hsv(e, Augmentation(), rng),
        lambda e, rng: augment.flip(e, Augmentation(), rng),
        lambda e, rng: mixing.mixup(e, e, 32.0, rng),
        lambda e, rng: augment.perspective(e, Augmentation(perspective=0.001), rng),
        lambda e, rng: mixing.cutmix(e, e, rng),
        lambda e, rng: mixing.cutout(e, rng),
    ],
    ids=["warp", "mosaic", "hsv", "flip", "mixup", "perspective", "cutmix", "cutout"],
)
def test_what_has_no_objects_gets_none_and_the_original_stays(
    change: Callable[[Example, np.random.Generator], Example],
) -> None:
    before = whole([])
    original = before.image.copy()
    after = change(before, np.random.default_rng(0))
    assert (after.boxes.shape, str(after.boxes.dtype), str(after.class_ids.dtype)) == ((0, 4), "float32", "int64")
    np.testing.assert_array_equal(before.image, original)
