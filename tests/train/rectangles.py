"""Images whose truth can be read from their pixels: objects are filled rectangles, each of a colour of its own."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from streamdet.data.dataset import Dataset, LabelledImage
from streamdet.data.labels import format_label
from streamdet.train.augment import Example
from streamdet.types import UInt8Array

BACKGROUND = (0, 0, 0)
# So far apart that a blend of one with the background or with grey is nearest to one of these three, or to no object.
COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255)], np.uint8)
CLASS_NAMES = ("red", "green")

Box = tuple[float, float, float, float]


def painted(hw: tuple[int, int], boxes: Sequence[Box], first: int = 0) -> Example:
    """Return an image of `hw` px with `boxes` xyxy on whole pixels: object i has the colour and the class first + i."""
    image = np.full((*hw, 3), BACKGROUND, np.uint8)
    class_ids = np.arange(first, first + len(boxes))
    for class_id, box in zip(class_ids, boxes, strict=True):
        x1, y1, x2, y2 = (int(side) for side in box)
        image[y1:y2, x1:x2] = COLOURS[class_id]
    return Example(image, class_ids, np.array(boxes, np.float32).reshape(-1, 4))


def coloured(image: UInt8Array, class_id: int) -> npt.NDArray[np.bool_]:
    """Return which pixels (H, W) are of the colour of a class rather than of anything beside it."""
    distance = np.abs(image.astype(int) - COLOURS[class_id].astype(int)).max(2)
    return np.asarray(distance < 128)


def seen(image: UInt8Array, class_id: int) -> npt.NDArray[np.float64] | None:
    """Return the box xyxy of the pixels that show a class, None where none does."""
    y, x = np.nonzero(coloured(image, class_id))
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float64) if len(x) else None


def write_data_file(data: Dataset) -> Path:
    """Write the file that states `data`, with its images in lists beside it; returns its path."""
    for split, images in (("train", data.train), ("val", data.val)):
        (data.path.parent / f"{split}.txt").write_text("".join(f"{image.image.name}\n" for image in images))
    data.path.write_text(f"train: train.txt\nval: val.txt\nnames: [{', '.join(data.class_names)}]\n")
    return data.path


def write_data_set(folder: Path, count: int = 12, size_px: int = 64, val: int = 0) -> Dataset:
    """Write `count` images of one rectangle each, red and green by turns; the last `val` are for validation."""
    rng = np.random.default_rng(0)
    images = []
    for index in range(count):
        x, y = rng.integers(0, size_px // 2, 2)
        width, height = rng.integers(size_px // 4, size_px // 2, 2)
        example = painted((size_px, size_px), [(x, y, x + width, y + height)], first=index % len(CLASS_NAMES))
        path = folder / f"{index:02}.png"
        cv2.imwrite(str(path), example.image[:, :, ::-1])
        line = format_label(index % len(CLASS_NAMES), example.boxes[0], example.hw)
        path.with_suffix(".txt").write_text(line + "\n")
        images.append(LabelledImage(path, path.with_suffix(".txt"), (True,) * len(CLASS_NAMES)))
    return Dataset(folder / "data.yaml", CLASS_NAMES, tuple(images[: count - val]), tuple(images[count - val :]))
