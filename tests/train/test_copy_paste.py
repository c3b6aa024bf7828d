"""Objects that are pasted hide what is beneath: masks, boxes and pixels agree."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamdet.data.dataset import LabelledImage
from streamdet.data.labels import LabelFormat
from streamdet.data.shapes import KeyPoints, Shapes, rasterised
from streamdet.train import mixing
from streamdet.train.augment import Example, mirrored
from streamdet.train.config import TrainConfig
from streamdet.train.examples import Draw, Examples, collate

from .rectangles import COLOURS, Box, painted
from .small_training import STILL

SIZE = 64


def outlined(boxes: list[Box], first: int = 0) -> Example:
    """Return an image of rectangles with their outlines: object i has the colour and the class first + i."""
    example = painted((SIZE, SIZE), boxes, first)
    points = example.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
    return replace(example, shapes=Shapes(points, np.full(len(boxes), 4)))


def pasted(example: Example, source: Example, share: float = 1.0) -> Example:
    return mixing.copy_paste(example, source, share, np.random.default_rng(0))


def mask_px(example: Example) -> dict[int, int]:
    """Return the number of pixels of each mask by class; they must be those that have its colour."""
    assert example.shapes is not None
    assert len(example.shapes) == len(example.boxes) == len(example.class_ids)
    counts = {}
    for class_id, ring in zip(example.class_ids.tolist(), example.shapes, strict=True):
        mask = rasterised(ring, example.hw)
        np.testing.assert_array_equal(mask, (example.image == COLOURS[class_id]).all(2))
        counts[class_id] = int(mask.sum())
    return counts


def test_the_covered_corner_is_cut_out_of_the_older_object() -> None:
    after = pasted(outlined([(10, 10, 30, 30)]), outlined([(20, 20, 40, 50)], first=1))
    assert mask_px(after) == {0: 400 - 100, 1: 600}
    np.testing.assert_array_equal(after.boxes, [(10, 10, 30, 30), (20, 20, 40, 50)])


def test_the_box_is_that_of_what_still_shows() -> None:
    after = pasted(outlined([(10, 10, 30, 30)]), outlined([(5, 5, 22, 60)], first=1))
    assert mask_px(after) == {0: 160, 1: 17 * 55}
    np.testing.assert_array_equal(after.boxes[0], (22, 10, 30, 30))


def test_a_hole_and_two_parts_are_one_object() -> None:
    example = outlined([(0, 0, 20, 20), (30, 0, 60, 10)])
    after = pasted(example, outlined([(5, 5, 10, 10), (40, 0, 50, 30)], first=2))
    assert mask_px(after) == {0: 400 - 25, 1: 200, 2: 25, 3: 300}
    np.testing.assert_array_equal(after.boxes[:2], example.boxes)


@pytest.mark.parametrize(
    ("cover", "left"),
    [
        ((10, 10, 30, 30), None),  # exactly covered
        ((0, 0, 64, 64), None),
        ((10, 10, 30, 29), None),  # a row shows, a twentieth
        ((10, 10, 30, 28), 40),  # a tenth
        ((10, 10, 28, 30), 40),
    ],
)
def test_an_object_of_which_less_than_a_tenth_shows_vanishes(cover: Box, left: int | None) -> None:
    after = pasted(outlined([(10, 10, 30, 30), (50, 0, 60, 5)]), outlined([cover], first=2))
    assert mask_px(after).get(0) == left
    assert after.class_ids.tolist() == [*([0] if left else []), *([1] if cover[2] < 60 else []), 2]


def test_nothing_chosen_changes_nothing() -> None:
    example = outlined([(10, 10, 30, 30)])
    after = pasted(example, outlined([(20, 20, 40, 50)], first=1), share=0.0)
    np.testing.assert_array_equal(after.image, example.image)
    assert mask_px(after) == {0: 400}


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_each_object_is_pasted_with_the_stated_probability(share: float) -> None:
    source = outlined([(x, 0, x + 8, 8) for x in range(0, 60, 10)])
    rng = np.random.default_rng(0)
    counts = [len(mixing.copy_paste(outlined([]), source, share, rng).boxes) for _ in range(200)]
    # The variance of a binomial distribution of 6 objects is 6 p (1 - p).
    assert np.mean(counts) == pytest.approx(6 * share, abs=0.3)
    assert np.var(counts) == pytest.approx(6 * share * (1 - share), abs=0.3)


def test_an_image_is_pasted_into_itself_in_a_mirror() -> None:
    example = outlined([(4, 10, 24, 30)])
    after = pasted(example, mirrored(example))
    np.testing.assert_array_equal(after.boxes, [(4, 10, 24, 30), (40, 10, 60, 30)])
    np.testing.assert_array_equal(after.image, np.maximum(example.image, example.image[:, ::-1]))


def test_what_has_no_masks_is_not_copied() -> None:
    boxes = painted((SIZE, SIZE), [(10, 10, 30, 30)])
    assert pasted(boxes, mirrored(boxes)) is boxes
    person = replace(boxes, shapes=KeyPoints(np.array([(20, 20, 2)], np.float32), np.array([1])))
    assert pasted(person, person) is person


# In a training.


def written(folder: Path, count: int) -> list[LabelledImage]:
    """Write `count` images of one rectangle each, in the left half, with its outline."""
    form, images = LabelFormat("segment"), []
    for index in range(count):
        example = outlined([(4, 10 * index, 28, 10 * index + 8)], first=index)
        path = folder / f"{index}.png"
        cv2.imwrite(str(path), example.image[:, :, ::-1])
        assert example.shapes is not None
        numbers = " ".join(f"{side:g}" for side in (example.shapes.points / SIZE).ravel())
        path.with_suffix(".txt").write_text(f"{index} {numbers}\n")
        images.append(LabelledImage(path, path.with_suffix(".txt"), (True,) * 4, form))
    return images


def settings(**changes: object) -> TrainConfig:
    return TrainConfig(imgsz=SIZE, epochs=20, close_mosaic=0).model_copy(update=STILL | changes)


def drawn(images: list[LabelledImage], settings: TrainConfig, places: int = 40) -> list[Example]:
    examples = Examples(images, settings)
    return [examples[Draw(0, place, 0)][0] for place in range(places)]


def test_the_mode_says_whose_objects_are_pasted(tmp_path: Path) -> None:
    images = written(tmp_path, 3)
    for mode, classes, right in (("flip", {0}, 60), ("mixup", {0, 1, 2}, 28)):
        found = drawn(images, settings(copy_paste=1.0, copy_paste_mode=mode))
        assert {int(class_id) for example in found for class_id in example.class_ids} == classes
        assert max(example.boxes[:, 2].max() for example in found) == right
        for example in found:
            assert example.shapes is not None
            np.testing.assert_array_equal(example.shapes.boxes(example.boxes), example.boxes)


def test_it_is_as_frequent_as_stated(tmp_path: Path) -> None:
    images = written(tmp_path, 1)
    for share in (0.0, 0.5, 1.0):
        changed = [len(example.boxes) == 2 for example in drawn(images, settings(copy_paste=share), 300)]
        assert np.mean(changed) == pytest.approx(share, abs=0.08)


def test_masks_and_boxes_agree_in_the_targets(tmp_path: Path) -> None:
    images = written(tmp_path, 4)
    lively = settings(copy_paste=1.0, copy_paste_mode="mixup", mosaic=1.0, scale=0.5, degrees=20.0)
    examples = Examples(images, lively)
    _, targets = collate([examples[Draw(0, place, place % 4)] for place in range(16)])
    assert targets.masks is not None
    assert len(targets.masks) == len(targets.boxes) > 16
    for mask, (x1, y1, x2, y2) in zip(targets.masks.numpy(), targets.boxes.numpy() / 4, strict=True):
        rows, columns = np.nonzero(mask)
        if len(rows):
            assert x1 - 0.5 <= columns.min()
            assert columns.max() + 1 <= x2 + 0.5
            assert y1 - 0.5 <= rows.min()
            assert rows.max() + 1 <= y2 + 0.5


def test_the_same_draw_gives_the_same_example(tmp_path: Path) -> None:
    images = written(tmp_path, 4)
    lively = TrainConfig(imgsz=SIZE, epochs=20, copy_paste=0.7, copy_paste_mode="mixup", mixup=0.3, cutmix=0.3)
    for first, second in zip(drawn(images, lively), drawn(images, lively), strict=True):
        np.testing.assert_array_equal(first.image, second.image)
        assert first.shapes is not None
        assert second.shapes is not None
        np.testing.assert_array_equal(first.shapes.points, second.shapes.points)
