"""Augmentations carry polygons, key points and rotated corners as they carry the pixels."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamdet.data.shapes import Corners, KeyPoints, Shapes, joined, rasterised
from streamdet.train import augment, mixing
from streamdet.train.augment import Example
from streamdet.train.config import Augmentation
from streamdet.types import UInt8Array

from .rectangles import COLOURS, coloured

SIZE = 128
LIVELY = Augmentation(scale=0.5, translate=0.3, degrees=40, shear=15)
Changed = Callable[[Example, np.random.Generator], Example]


def outlined(rings: list[npt.NDArray[np.float32]], first: int = 0) -> Example:
    """Return an image of polygons: object i has the colour and the class first + i."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    for index, ring in enumerate(rings, first):
        image[rasterised(ring, (SIZE, SIZE))] = COLOURS[index]
    shapes = Shapes(np.concatenate(rings), np.array([len(ring) for ring in rings]))
    class_ids = np.arange(first, first + len(rings))
    return Example(image, class_ids, shapes.boxes(np.zeros((0, 4), np.float32)), shapes)


def stars(rng: np.random.Generator, first: int = 0) -> Example:
    """Return an image with two concave polygons, which do not meet, and reach over the edge."""
    rings = []
    for centre in ((30, 64), (100, 64)):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radii = rng.uniform(12, 34, 9)
        rings.append((centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(np.float32))
    return outlined([ring.clip([0, -20], [SIZE, SIZE + 20]) for ring in rings], first).clipped()


def near_edges(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the pixels that are a pixel from the edge of `mask`, diagonals included, or closer."""
    drawn, kernel = np.pad(mask.astype(np.uint8), 2, mode="edge"), np.ones((5, 5), np.uint8)
    return np.asarray(cv2.dilate(drawn, kernel) != cv2.erode(drawn, kernel))[2:-2, 2:-2]


def assert_outlines(example: Example) -> None:
    """The raster of every polygon shows what has its colour, and its box encloses it."""
    assert example.shapes is not None
    assert len(example.shapes) == len(example.class_ids)
    for class_id, ring in zip(example.class_ids, example.shapes, strict=True):
        raster, shown = rasterised(ring, example.hw), coloured(example.image, int(class_id))
        # Where the picture ends, pixels are blends with the grey around it.
        assert not ((raster != shown) & ~near_edges(raster))[1:-1, 1:-1].any()


def cutmix(example: Example, rng: np.random.Generator) -> Example:
    return mixing.cutmix(example, stars(rng, 2), rng)


CHANGES: dict[str, Changed] = {
    "resized": lambda example, rng: example.resized(int(rng.integers(40, 300))),
    "warp": lambda example, rng: augment.warp(example, SIZE, LIVELY, rng),
    "perspective": lambda example, rng: augment.perspective(example, Augmentation(perspective=0.001), rng),
    "flip": lambda example, rng: augment.flip(example, Augmentation(fliplr=0.5, flipud=0.5), rng),
    "cutmix": cutmix,
    "cutmix and warp": lambda example, rng: augment.warp(cutmix(example, rng), SIZE, LIVELY, rng),
}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_polygon_covers_the_pixels_of_its_object(change: Changed, seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert_outlines(change(stars(rng), rng))


@pytest.mark.parametrize("seed", range(12))
def test_what_is_covered_is_cut_out_of_a_polygon(seed: int) -> None:
    rng = np.random.default_rng(seed)
    after = mixing.cutout(stars(rng), rng)
    assert after.shapes is not None
    for class_id, ring in zip(after.class_ids, after.shapes, strict=True):
        shown = (after.image == COLOURS[class_id]).all(2)
        np.testing.assert_array_equal(rasterised(ring, after.hw), shown)


@pytest.mark.parametrize("seed", range(12))
def test_a_mosaic_cuts_polygons_with_the_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rings = [np.array([(20, 20), (110, 30), (100, 100), (60, 50), (10, 90)], np.float32)]
    parts = [outlined(rings, first) for first in range(4)]
    joined_up = mixing.mosaic(parts, SIZE, rng)
    assert joined_up.hw == (2 * SIZE, 2 * SIZE)
    assert_outlines(joined_up)
    assert_outlines(augment.warp(joined_up, SIZE, LIVELY, rng))


@pytest.mark.parametrize("seed", range(6))
def test_the_box_of_a_polygon_encloses_its_part_in_the_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    after = augment.warp(stars(rng), SIZE, LIVELY, rng)
    assert after.shapes is not None
    np.testing.assert_allclose(after.boxes, after.shapes.boxes(after.boxes), atol=1e-4)
    assert after.boxes.min() >= 0
    assert after.boxes.max() <= SIZE


@pytest.mark.parametrize("settings", [Augmentation(fliplr=1), Augmentation(fliplr=0, flipud=1)], ids=["lr", "ud"])
def test_two_flips_change_nothing(settings: Augmentation) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, SIZE, (2, 5, 3)).astype(np.float32).reshape(-1, 3)
    for shapes in (
        stars(rng).shapes,
        KeyPoints(points, np.array([5, 5]), (0, 2, 1, 4, 3)),
        Corners(points[:8, :2], np.array([4, 4])),
    ):
        assert shapes is not None
        before = replace(stars(rng), shapes=shapes)
        once = augment.flip(before, settings, rng)
        twice = augment.flip(once, settings, rng)
        assert once.shapes is not None
        assert twice.shapes is not None
        assert not np.allclose(once.shapes.points, shapes.points)
        np.testing.assert_allclose(twice.shapes.points, shapes.points, atol=1e-4)
        np.testing.assert_array_equal(twice.image, before.image)


# Key points: a pixel of a colour of its own at each.


def dotted(points: npt.NDArray[np.float64]) -> UInt8Array:
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    for (x, y), colour in zip(points, COLOURS, strict=False):
        cv2.circle(image, (int(x), int(y)), 4, colour.tolist(), -1)
    return image


@pytest.mark.parametrize("seed", range(12))
def test_key_points_stay_on_their_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid([24, 64, 104], [40, 88]), -1).reshape(-1, 2) + rng.uniform(-6, 6, (6, 2))
    points = np.column_stack([places + 0.5, np.full(6, 2)]).astype(np.float32)
    box = np.array([[4, 4, 124, 124]], np.float32)
    before = Example(dotted(places), np.array([0]), box, KeyPoints(points, np.array([6]), tuple(range(6))))
    after = augment.flip(augment.warp(before, SIZE, LIVELY, rng), Augmentation(), rng)
    assert isinstance(after.shapes, KeyPoints)
    for index, (x, y, label) in enumerate(after.shapes.by_object()[0]):
        if label == 0:
            assert not (0 <= x <= SIZE and 0 <= y <= SIZE)
        elif min(x, y, SIZE - x, SIZE - y) > 8:
            shown = np.argwhere(coloured(after.image, index))
            np.testing.assert_allclose((x, y), shown.mean(0)[::-1] + 0.5, atol=1.5)


def test_without_flip_idx_nothing_is_mirrored() -> None:
    points = KeyPoints(np.array([(10, 20, 2), (30, 40, 2)], np.float32), np.array([2]))
    before = Example(np.zeros((64, 64, 3), np.uint8), np.array([0]), np.array([[0, 0, 50, 50]], np.float32), points)
    assert augment.flip(before, Augmentation(fliplr=1), np.random.default_rng(0)) is before


def test_a_rotated_box_turns_with_the_image() -> None:
    corners = np.array([(44, 54), (84, 54), (84, 74), (44, 74)], np.float32)
    shapes = Corners(corners, np.array([4]))
    before = Example(np.zeros((SIZE, SIZE, 3), np.uint8), np.array([0]), shapes.boxes(corners), shapes)
    for seed in range(6):
        settings = Augmentation(scale=0, translate=0, degrees=90)
        after = augment.warp(before, SIZE, settings, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        rng.uniform(1, 1)  # the scale
        turn = np.radians(rng.uniform(-90, 90))
        assert isinstance(after.shapes, Corners)
        ((cx, cy, width, height, angle),) = after.shapes.rotated()
        if width < height:
            width, height, angle = height, width, angle + np.pi / 2
        np.testing.assert_allclose((cx, cy, width, height), (64, 64, 40, 20), atol=1e-3)
        np.testing.assert_allclose(np.sin(2 * (angle - turn)), 0, atol=1e-4)
        assert np.cos(2 * (angle - turn)) > 0
        np.testing.assert_allclose(after.boxes, after.shapes.boxes(after.boxes), atol=1e-4)


def test_mixing_joins_shapes() -> None:
    rng = np.random.default_rng(0)
    a, b = stars(rng), stars(rng, 2)
    mixed = mixing.mixup(a, b, 32.0, rng)
    assert a.shapes is not None
    assert b.shapes is not None
    assert mixed.shapes is not None
    np.testing.assert_array_equal(mixed.shapes.points, joined([a.shapes, b.shapes]).points)


@pytest.mark.parametrize("seed", range(8))
def test_a_crop_is_a_part_of_the_image(seed: int) -> None:
    # The colour of a pixel is its place.
    y, x = np.mgrid[:100, :160]
    image = np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8)
    before = Example(image, np.array([3]), np.array([[0, 0, 160, 100]], np.float32))
    after = augment.crop(before, 64, Augmentation(scale=0.5), np.random.default_rng(seed))
    (left, top), (right, bottom) = after.image[0, 0, :2].astype(float), after.image[-1, -1, :2].astype(float)
    width, height = (right - left + 1) * 64 / 63, (bottom - top + 1) * 64 / 63
    assert 0.45 * 16000 <= width * height <= 1.05 * 16000 or abs(width - height) < 4
    assert 0.7 < width / height < 1.45
    assert (after.hw, after.class_ids.tolist(), after.boxes.tolist()) == ((64, 64), [3], [[0, 0, 64, 64]])
