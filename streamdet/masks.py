"""Silhouettes of objects: kept as small as the network makes them, and enlarged for one object when they are needed."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.arrays import Value, finite_rows, frozen

UInt8Array = npt.NDArray[np.uint8]
HALF = 128  # the least value of a pixel that belongs to the object


class Patch(NamedTuple):
    """Part of a silhouette in an image: `values` u8 (h, w), 255 times the probability, from column `x` and row `y`."""

    x: int
    y: int
    values: UInt8Array


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Masks(Value):
    """The silhouettes of N objects of one image.

    - `values` u8 (N, h, w) are 255 times the probability that a cell belongs to the object.
    - `boxes` f32 (N, 4) are in px of the image; nothing outside of its box belongs to an object.
    - `region` f32 (4,) is x1, y1, x2, y2 in px of the image: what the (h, w) cells cover, which may reach beyond it.
    - `image_hw` is the size of the image in px.

    ``masks[chosen]`` are some of them, for an index array, a slice or an array of bool. Raises ValueError for arrays
    that do not fit.
    """

    values: UInt8Array
    boxes: npt.NDArray[np.float32]
    region: npt.NDArray[np.float32]
    image_hw: tuple[int, int]

    def __init__(
        self, values: npt.ArrayLike, boxes: npt.ArrayLike, region: npt.ArrayLike, image_hw: tuple[int, int]
    ) -> None:
        grids, limits = frozen("masks", values, np.uint8, (None, None, None)), finite_rows("boxes", boxes, (None, 4))
        if len(grids) != len(limits):
            raise ValueError(f"rows differ: masks has {len(grids)}, boxes has {len(limits)}")
        size = int(image_hw[0]), int(image_hw[1])
        covered = finite_rows("region", region, (4,))
        for name, value in {"values": grids, "boxes": limits, "region": covered, "image_hw": size}.items():
            object.__setattr__(self, name, value)  # the way of dataclasses that are frozen

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, chosen: Any) -> Masks:
        return Masks(self.values[chosen], self.boxes[chosen], self.region, self.image_hw)

    def packed(self) -> PackedMasks:
        """Return the same in a hundredth of the memory, for masks that are kept."""
        # Most cells lie outside of the boxes and are 0: the fastest level finds them.
        return PackedMasks(
            zlib.compress(self.values.tobytes(), 1), self.values.shape, self.boxes, self.region, self.image_hw
        )

    def patch(self, index: int) -> Patch:
        """Return the silhouette of one object within its box, with a soft edge: bilinear between the cells' centres."""
        height, width = self.image_hw
        x1, y1 = np.floor(self.boxes[index, :2]).astype(int).clip(0, (width, height)).tolist()
        x2, y2 = np.ceil(self.boxes[index, 2:]).astype(int).clip(0, (width, height)).tolist()
        if x2 <= x1 or y2 <= y1:
            return Patch(x1, y1, np.zeros((max(y2 - y1, 0), max(x2 - x1, 0)), np.uint8))
        rows, columns = self.values.shape[1:]
        scale, (left, top) = _cells_per_px(self.region, (rows, columns)), self.region[:2].tolist()
        # Pixel i has its centre at i + 0.5, so has a cell:  u + 0.5 = s (x1 + i + 0.5 - left)
        to_cells = np.array(
            [
                [scale[0], 0, scale[0] * (x1 + 0.5 - left) - 0.5],
                [0, scale[1], scale[1] * (y1 + 0.5 - top) - 0.5],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_REPLICATE
        values = cv2.warpAffine(self.values[index], to_cells, (x2 - x1, y2 - y1), flags=flags, borderMode=border)
        return Patch(x1, y1, values.astype(np.uint8))

    def to_image(self, index: int) -> npt.NDArray[np.bool_]:
        """Return the silhouette of one object as bool (H, W): the pixels that rather belong to it than not."""
        image = np.zeros(self.image_hw, bool)
        x, y, values = self.patch(index)
        image[y : y + values.shape[0], x : x + values.shape[1]] = values >= HALF
        return image

    def to_images(self, indices: Iterable[int]) -> npt.NDArray[np.bool_]:
        """Return the silhouettes of the objects `indices` (K,) as bool (K, H, W), that of nothing for -1."""
        nothing = np.zeros(self.image_hw, bool)
        images = [self.to_image(index) if index >= 0 else nothing for index in indices]
        return np.array(images, bool).reshape(-1, *self.image_hw)


class PackedMasks(NamedTuple):
    """`Masks` whose `values`, of `shape` (N, h, w), are compressed."""

    values: bytes
    shape: tuple[int, ...]
    boxes: npt.NDArray[np.float32]
    region: npt.NDArray[np.float32]
    image_hw: tuple[int, int]

    def unpacked(self) -> Masks:
        """Return the masks that were packed."""
        values = np.frombuffer(zlib.decompress(self.values), np.uint8).reshape(self.shape)
        return Masks(values, self.boxes, self.region, self.image_hw)


def cell_windows(
    boxes: npt.NDArray[np.float32], region: npt.NDArray[np.float32], grid_hw: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Return the cells (N, 4) that silhouettes within `boxes` (N, 4) depend on: first column and row, and ends.

    `region` is as of `Masks`, of which there are `grid_hw` cells.
    """
    whole_px = np.hstack([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])])
    ends = (whole_px - np.tile(region[:2], 2)) * np.tile(_cells_per_px(region, grid_hw), 2)
    # The pixel at an end lies between the centres of two cells, and OpenCV rounds where.
    windows = np.hstack([np.floor(ends[:, :2]) - 2, np.ceil(ends[:, 2:]) + 2])
    height, width = grid_hw
    return windows.astype(np.int64).clip(0, [width, height, width, height])


def _cells_per_px(region: npt.NDArray[np.float32], grid_hw: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return how many columns and rows of cells a px has, (2,)."""
    left, top, right, bottom = region.tolist()
    return np.array([grid_hw[1] / (right - left), grid_hw[0] / (bottom - top)])
