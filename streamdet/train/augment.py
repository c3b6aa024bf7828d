"""A labelled training image, and the augmentations of one image, which change the image and its labels together.

Every random function takes the generator that it draws from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.data.shapes import KeyPoints, Shapes
from streamdet.letterbox import PADDING
from streamdet.train.config import Augmentation
from streamdet.types import Float32Array, Float64Array, Int64Array, UInt8Array

Generator = np.random.Generator

# The least remainder of a cut object that is still learned (YOLOv5's published filter): its sides in px, and its area
# as a fraction of the area before.
_MIN_SIDE_PX = 2.0
MIN_VISIBLE = 0.1
# Of a part of an image: how often one is drawn until it fits, and the logarithm of the largest ratio of its sides.
_CROP_TRIES = 10
_CROP_RATIO = math.log(4 / 3)


@dataclass(frozen=True, slots=True)
class Example:
    """`image` uint8 (H, W, 3) RGB with objects: `class_ids` i64 (N,), `boxes` f32 (N, 4) xyxy in px of the image.

    `shapes` of the objects, in px, are None for a task that knows boxes alone.
    """

    image: UInt8Array
    class_ids: Int64Array
    boxes: Float32Array
    shapes: Shapes | None = None

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width in px."""
        height, width = self.image.shape[:2]
        return height, width

    def only(self, chosen: npt.NDArray[np.bool_]) -> Example:
        """Return the example with the `chosen` objects, bool (N,)."""
        shapes = self.shapes and self.shapes.only(chosen)
        return replace(self, class_ids=self.class_ids[chosen], boxes=self.boxes[chosen], shapes=shapes)

    def resized(self, size_px: int) -> Example:
        """Return the example with its longer side resized to `size_px`."""
        height, width = self.hw
        scale = size_px / max(height, width)
        if scale == 1:
            return self
        wh = (max(round(width * scale), 1), max(round(height * scale), 1))
        image = np.asarray(cv2.resize(self.image, wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))
        factors = np.array([wh[0] / width, wh[1] / height] * 2, np.float32)
        shapes = self.shapes and self.shapes.moved(np.diag([*factors[:2], 0])[:2])
        return replace(self, image=image.astype(np.uint8, copy=False), boxes=self.boxes * factors, shapes=shapes)

    def clipped(self, areas_before: Float32Array | None = None) -> Example:
        """Return the example with boxes clipped to the image, without objects of which too little remains.

        The box of an outline encloses the part of it in the image. `areas_before` f32 (N,) in px^2 are the whole areas
        of the objects, by default those of the boxes.
        """
        height, width = self.hw
        shapes = self.shapes and self.shapes.within((0, 0, width, height))
        boxes = self.boxes if shapes is None else shapes.boxes(self.boxes)
        boxes = boxes.clip(0, np.array([width, height] * 2, np.float32))
        areas = area(self.boxes) if areas_before is None else areas_before
        sides = boxes[:, 2:] - boxes[:, :2]
        kept = (sides.min(1, initial=np.inf) >= _MIN_SIDE_PX) & (area(boxes) >= MIN_VISIBLE * areas)
        return replace(self, boxes=boxes, shapes=shapes).only(kept)


def area(boxes: Float32Array) -> Float32Array:
    """Return the areas f32 (N,) of xyxy `boxes` (N, 4); 0 where x2 < x1 or y2 < y1."""
    sides: Float32Array = (boxes[:, 2:] - boxes[:, :2]).clip(0)
    return sides[:, 0] * sides[:, 1]


def warp(example: Example, size_px: int, settings: Augmentation, rng: Generator) -> Example:
    """Scale, rotate, shear and shift `example` into a square of `size_px`; new boxes enclose the moved corners."""
    height, width = example.hw
    scale = rng.uniform(1 - settings.scale, 1 + settings.scale)
    turn = math.radians(rng.uniform(-settings.degrees, settings.degrees))
    shear_x, shear_y = (math.tan(math.radians(rng.uniform(-settings.shear, settings.shear))) for _ in range(2))
    shift = (0.5 + rng.uniform(-settings.translate, settings.translate, 2)) * size_px
    # x' = S H R s (x - center) + shift
    rotation = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = np.array([[1, shear_x], [shear_y, 1]]) @ rotation
    offset = shift - linear @ np.array([width / 2, height / 2])
    matrix = np.column_stack((linear, offset))
    # OpenCV's origin is the middle of the first pixel, that of boxes its corner: x' + 1/2 = A (x + 1/2) + b
    cv_matrix = np.column_stack((linear, offset + linear.sum(1) / 2 - 0.5))
    border = (PADDING, PADDING, PADDING)
    image = np.asarray(cv2.warpAffine(example.image, cv_matrix, (size_px, size_px), borderValue=border))
    shapes = example.shapes and example.shapes.moved(matrix)
    moved = Example(image.astype(np.uint8, copy=False), example.class_ids, _warped(example.boxes, matrix), shapes)
    return moved.clipped((area(example.boxes) * abs(np.linalg.det(linear))).astype(np.float32))


def crop(example: Example, size_px: int, settings: Augmentation, rng: Generator) -> Example:
    """Return a part of `example`, of a random place, area and ratio of its sides, as a square of `size_px`.

    The part has at least 1 - `settings.scale` of the image's area (Inception, arXiv 1409.4842, section 6); without one
    that fits it is the largest square. The objects become as large as the image: they are classes of whole images.
    """
    height, width = example.hw
    for _ in range(_CROP_TRIES):
        area_px = height * width * rng.uniform(1 - settings.scale, 1)
        ratio = math.exp(rng.uniform(-_CROP_RATIO, _CROP_RATIO))
        sides = round(math.sqrt(area_px * ratio)), round(math.sqrt(area_px / ratio))
        if 0 < sides[0] <= width and 0 < sides[1] <= height:
            break
    else:
        sides = (min(width, height),) * 2
    left, top = (int(rng.integers(whole - side + 1)) for whole, side in zip((width, height), sides, strict=True))
    part = example.image[top : top + sides[1], left : left + sides[0]]
    shrinks = max(sides) > size_px
    image = cv2.resize(part, (size_px, size_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    boxes = np.tile(_sides(size_px, size_px) * np.array([0, 0, 1, 1], np.float32), (len(example.boxes), 1))
    return replace(example, image=np.asarray(image, np.uint8), boxes=boxes)


def perspective(example: Example, settings: Augmentation, rng: Generator) -> Example:
    """Tilt the image about its middle in a random direction; new boxes enclose the moved corners."""
    if not settings.perspective:
        return example
    height, width = example.hw
    # p' = c + (p - c) / (1 + t (p - c)); t is stated for images of 640 px
    tilt = rng.uniform(-settings.perspective, settings.perspective, 2) * (640 / max(height, width))
    to_middle, tilted = np.eye(3), np.eye(3)
    to_middle[:2, 2], tilted[2, :2] = (-width / 2, -height / 2), tilt
    matrix = np.linalg.inv(to_middle) @ tilted @ to_middle
    # OpenCV's origin is the middle of the first pixel, that of boxes its corner.
    to_corner = np.eye(3)
    to_corner[:2, 2] = 0.5
    cv_matrix = np.linalg.inv(to_corner) @ matrix @ to_corner
    border = (PADDING, PADDING, PADDING)
    image = np.asarray(cv2.warpPerspective(example.image, cv_matrix, (width, height), borderValue=border))
    corners = example.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 1, 2).astype(np.float64)
    moved = cv2.perspectiveTransform(corners, matrix).reshape(-1, 4, 2) if len(corners) else np.zeros((0, 4, 2))
    boxes = np.concatenate((moved.min(1), moved.max(1)), 1).astype(np.float32)
    shapes = example.shapes and example.shapes.moved(matrix)
    return Example(image.astype(np.uint8, copy=False), example.class_ids, boxes, shapes).clipped()


def hsv(example: Example, settings: Augmentation, rng: Generator) -> Example:
    """Shift the hue and scale saturation and value, each by up to its gain."""
    gains = np.array([settings.hsv_h, settings.hsv_s, settings.hsv_v])
    if not gains.any():
        return example
    hue, saturation, value = rng.uniform(-1, 1, 3) * gains + 1
    levels = np.arange(256)
    # OpenCV's hue of 8-bit images runs from 0 to 179; the shift is relative to the full circle.
    tables = (
        (levels + (hue - 1) * 180) % 180,
        (levels * saturation).clip(0, 255),
        (levels * value).clip(0, 255),
    )
    channels = cv2.split(cv2.cvtColor(example.image, cv2.COLOR_RGB2HSV))
    changed = [cv2.LUT(c, table.astype(np.uint8)) for c, table in zip(channels, tables, strict=True)]
    image = cv2.cvtColor(cv2.merge(changed), cv2.COLOR_HSV2RGB)
    return replace(example, image=np.asarray(image, np.uint8))


def flip(example: Example, settings: Augmentation, rng: Generator) -> Example:
    """Mirror left to right and upside down, each with its probability."""
    if isinstance(example.shapes, KeyPoints) and not example.shapes.flip_idx:
        return example  # which points are left and right is not known
    if rng.random() < settings.fliplr:
        example = mirrored(example)
    if rng.random() < settings.flipud:
        height, _ = example.hw
        boxes = example.boxes[:, [0, 3, 2, 1]] * np.array([1, -1, 1, -1], np.float32) + _sides(0, height)
        shapes = example.shapes and example.shapes.mirrored(np.array([[1, 0, 0], [0, -1, height]], np.float32))
        example = replace(example, image=example.image[::-1], boxes=boxes, shapes=shapes)
    return replace(example, image=np.ascontiguousarray(example.image))


def mirrored(example: Example) -> Example:
    """Return `example` with left and right exchanged."""
    _, width = example.hw
    # x1, x2 = width - x2, width - x1
    boxes = example.boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32) + _sides(width, 0)
    shapes = example.shapes and example.shapes.mirrored(np.array([[-1, 0, width], [0, 1, 0]], np.float32))
    return replace(example, image=example.image[:, ::-1], boxes=boxes, shapes=shapes)


def _sides(x: int, y: int) -> Float32Array:
    return np.array([x, y, x, y], np.float32)


def _warped(boxes: Float32Array, matrix: Float64Array) -> Float32Array:
    """Return the boxes (N, 4) that enclose the corners of `boxes` (N, 4) moved by the affine `matrix` (2, 3)."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate((corners.min(1), corners.max(1)), 1).astype(np.float32)
