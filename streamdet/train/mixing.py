"""Augmentations that join several images, or cover parts of one.

Every random function takes the generator that it draws from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.data.shapes import Shapes, joined, rasterised
from streamdet.letterbox import PADDING
from streamdet.train.augment import MIN_VISIBLE, Example, Generator, area
from streamdet.types import Float32Array, UInt8Array

# The largest part of an object that a patch may cover so that it is still learned.
_MAX_COVERED = 0.6


def joined_examples(image: UInt8Array, examples: list[Example]) -> Example:
    """Return one example with `image` and the objects of all `examples`."""
    class_ids, boxes = (np.concatenate([getattr(each, name) for each in examples]) for name in ("class_ids", "boxes"))
    shapes = [each.shapes for each in examples if each.shapes is not None]
    return Example(image, class_ids, boxes, joined(shapes) if shapes else None)


def mosaic(examples: Sequence[Example], size_px: int, rng: Generator) -> Example:
    """Join four examples around a random point of a square of twice `size_px` (YOLOv4, arXiv 2004.10934, fig. 3)."""
    side = 2 * size_px
    cx, cy = (int(c) for c in rng.integers(size_px // 2, side - size_px // 2, 2))
    canvas = np.full((side, side, 3), PADDING, np.uint8)
    placed = []
    for corner, example in enumerate(examples):
        height, width = example.hw
        # The images 0 to 3 touch the point with their lower right, lower left, upper right and upper left corners.
        x, y = cx - width * (corner in (0, 2)), cy - height * (corner in (0, 1))
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + width, side), min(y + height, side)
        canvas[top:bottom, left:right] = example.image[top - y : bottom - y, left - x : right - x]
        shapes = example.shapes and example.shapes.moved(np.array([[1, 0, x], [0, 1, y]], np.float32))
        placed.append(replace(example, boxes=example.boxes + np.array([x, y, x, y], np.float32), shapes=shapes))
    return joined_examples(canvas, placed).clipped()


def mixup(a: Example, b: Example, alpha: float, rng: Generator) -> Example:
    """Blend two examples of one size, in shares of Beta(alpha, alpha), with the objects of both (arXiv 1710.09412)."""
    share = float(rng.beta(alpha, alpha))
    blended = cv2.addWeighted(a.image, share, b.image, 1 - share, 0)
    return joined_examples(np.asarray(blended, np.uint8), [a, b])


def cutmix(a: Example, b: Example, rng: Generator) -> Example:
    """Replace a rectangle of `a` with that of `b`, and the objects inside with those of `b` (arXiv 1905.04899)."""
    patch = _patch(a.hw, math.sqrt(1 - float(rng.beta(1.0, 1.0))), rng)
    x1, y1, x2, y2 = patch
    image = a.image.copy()
    image[y1:y2, x1:x2] = b.image[y1:y2, x1:x2]
    inside = _covered(b.boxes, patch) > 1 - _MAX_COVERED
    boxes = b.boxes.clip([x1, y1, x1, y1], [x2, y2, x2, y2]).astype(np.float32)
    shown = replace(b, boxes=boxes, shapes=b.shapes and b.shapes.within(patch)).only(inside)
    return joined_examples(image, [_behind(a, patch), shown]).clipped()


def cutout(example: Example, rng: Generator) -> Example:
    """Cover random rectangles with one colour each: a large one, then more and smaller ones (arXiv 1708.04552)."""
    image = example.image.copy()
    for fraction in (0.5, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125):
        patch = _patch(example.hw, float(rng.uniform(0, fraction)), rng)
        x1, y1, x2, y2 = patch
        image[y1:y2, x1:x2] = rng.integers(64, 192, 3, np.uint8)
        example = _behind(example, patch)
    return replace(example, image=image)


def copy_paste(example: Example, source: Example, share: float, rng: Generator) -> Example:
    """Paste outlined objects of `source` over `example`, of the same size (Simple Copy-Paste, arXiv 2012.07177).

    `share` is the probability of each object. What they cover is cut out of the outlines of the older objects, and an
    object of which less than a tenth shows is left out. Objects without outlines are not copied.
    """
    if type(source.shapes) is not Shapes:
        return example
    pasted = source.only(rng.random(len(source.shapes)) < share)
    covered = np.zeros(example.hw, bool)
    for ring in pasted.shapes or ():
        covered |= rasterised(ring, example.hw)
    image = np.where(covered[:, :, None], source.image, example.image)
    return joined_examples(image, [_beneath(example, covered), pasted]).clipped()


def _beneath(example: Example, covered: npt.NDArray[np.bool_]) -> Example:
    """Return the example with what shows of its outlined objects when the pixels `covered` (H, W) are hidden."""
    assert example.shapes is not None
    shapes, shares = example.shapes.beneath(covered)
    return replace(example, boxes=shapes.boxes(example.boxes), shapes=shapes).only(shares >= MIN_VISIBLE)


def _behind(example: Example, patch: tuple[int, int, int, int]) -> Example:
    """Return the example without objects that the rectangle `patch` covers too much of."""
    shapes = example.shapes and example.shapes.without(patch)
    return replace(example, shapes=shapes).only(_covered(example.boxes, patch) <= _MAX_COVERED)


def _patch(hw: tuple[int, int], fraction: float, rng: Generator) -> tuple[int, int, int, int]:
    """Return a random rectangle xyxy in px with sides of `fraction` of the image's, clipped to the image."""
    height, width = hw
    cx, cy = rng.uniform(0, width), rng.uniform(0, height)
    half_w, half_h = fraction * width / 2, fraction * height / 2
    x1, x2 = (int(np.clip(x, 0, width)) for x in (cx - half_w, cx + half_w))
    y1, y2 = (int(np.clip(y, 0, height)) for y in (cy - half_h, cy + half_h))
    return x1, y1, x2, y2


def _covered(boxes: Float32Array, patch: tuple[int, int, int, int]) -> Float32Array:
    """Return the share of each of the `boxes` (N, 4) that the rectangle `patch` covers, f32 (N,) in [0, 1]."""
    x1, y1, x2, y2 = patch
    covered: Float32Array = area(boxes.clip([x1, y1, x1, y1], [x2, y2, x2, y2]).astype(np.float32))
    share: Float32Array = covered / area(boxes).clip(1e-6)
    return share
