"""Completes the labels of sets that cover only some of the six classes, with the detections of a teacher."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml

from streamdet.boxes import box_iou
from streamdet.data.images import IMAGE_SUFFIXES, read_image
from streamdet.data.labels import format_label, read_labels
from streamdet.data.locate import label_path
from streamdet.errors import InputError
from streamdet.scene.truth import CLASS_NAMES
from streamdet.types import Float32Array, UInt8Array

VEHICLES = CLASS_NAMES[1:]
ALL_BUT_TRUCK = CLASS_NAMES[:-1]


@dataclass(frozen=True, slots=True)
class Source:
    """A folder of images, and the classes that people `labelled` in it, as its SOURCE.md states.

    Its images occur `repeats` times an epoch.
    """

    images: str
    labelled: tuple[str, ...]
    repeats: int = 1


# General photographs occur twice: they are the most varied ones and the only ones with people near the camera.
TRAIN_SOURCES = (
    Source("capston2_person/images", ("person",)),
    Source("dhaka_road_vehicles/images", VEHICLES),
    Source("highway_cctv/images", ("car", "bus", "truck", "motorcycle")),
    Source("openimages_vehicles/images", ()),
    Source("general_photos/coco_open/images/train", CLASS_NAMES, repeats=2),
    Source("general_photos/voc2007_trainval/images/train", ALL_BUT_TRUCK, repeats=2),
    Source("general_photos/voc2007_test/images/train", ALL_BUT_TRUCK, repeats=2),
)
VAL_SOURCES = (
    Source("construction_ppe/images", ("person",)),
    Source("motorbikes_vn/images", ("motorcycle", "car")),
    Source("toll_road_cctv/images", ("car", "bus", "truck")),
    Source("general_photos/coco_open/images/val", CLASS_NAMES),
    Source("general_photos/voc2007_test/images/val", ALL_BUT_TRUCK),
)
# Regions marked as one crowd, whose members have no labels: label file, class id, box.
CROWDS = "general_photos/crowd_ignore.csv"

# A detection that scores SURE or more becomes a label. Between the two it may be right or wrong: the image is then not
# used for that class. Below UNSURE the class counts as absent.
SURE, UNSURE = 0.45, 0.12
_SAME_OBJECT_IOU = 0.45
# The longer side of the images that are written, the largest of the trainings.
_SIDE_PX = 416
_JPEG_QUALITY = 92

# From an image uint8 (H, W, 3) RGB to the detections of a teacher, f32 (N, 6): xyxy in px, score, class id.
Finder = Callable[[UInt8Array], Float32Array]


def complete(sets: Path, teacher: Finder, out: Path) -> Path:
    """Write images, completed labels, lists of images and the data file to `out`; returns the path of the data file.

    Images are written no larger than trainings need them. The data file states the labelled classes by list, so that
    the images labelled for the same classes share a list.
    """
    lists: dict[tuple[str, ...], list[str]] = defaultdict(list)
    crowded = _crowded(sets)
    for source in TRAIN_SOURCES:
        folder = Path("images", *(part for part in Path(source.images).parts if part != "images"))
        (out / folder).mkdir(parents=True, exist_ok=True)
        label_path(out / folder / "any.jpg").parent.mkdir(parents=True, exist_ok=True)
        for image in sorted(file for file in (sets / source.images).iterdir() if file.suffix.lower() in IMAGE_SUFFIXES):
            copy = folder / f"{image.stem}.jpg"
            known = _complete_one(image, out / copy, source.labelled, teacher)
            known = tuple(name for name in known if name not in crowded[label_path(image)])
            lists[known] += [str(copy)] * source.repeats
    return _write_data(out, sets, lists)


def _crowded(sets: Path) -> dict[Path, set[str]]:
    """Return by label file the classes of which an image shows a crowd without labels."""
    crowded: dict[Path, set[str]] = defaultdict(set)
    if (sets / CROWDS).exists():
        with (sets / CROWDS).open(encoding="utf-8", newline="") as rows:
            for row in csv.DictReader(rows):
                crowded[(sets / CROWDS).parent / row["label_file"]].add(CLASS_NAMES[int(row["class"])])
    return crowded


def _complete_one(image: Path, copy: Path, labelled: tuple[str, ...], teacher: Finder) -> tuple[str, ...]:
    """Write a copy of an image and its labels; returns the classes that it is now labelled for."""
    pixels = read_image(image)
    if pixels is None:
        raise InputError(f"{image}: expected an image, but it cannot be decoded")
    lines, known = _completed(pixels, label_path(image), labelled, teacher)
    label_path(copy).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    scale = min(_SIDE_PX / max(pixels.shape[:2]), 1)
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    cv2.imwrite(str(copy), cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return known


def _completed(
    pixels: UInt8Array, label: Path, labelled: tuple[str, ...], teacher: Finder
) -> tuple[list[str], tuple[str, ...]]:
    """Return the label lines of an image, and the classes that it is then labelled for."""
    objects, _ = read_labels(label, len(CLASS_NAMES))
    height, width = pixels.shape[:2]
    boxes = objects.boxes * np.array([width, height] * 2, np.float32)
    found = teacher(pixels)
    added = found[[CLASS_NAMES[int(row[5])] not in labelled and not _overlaps(row[:4], boxes) for row in found]]
    sure = added[added[:, 4] >= SURE]
    lines = [format_label(int(c), box, (height, width)) for c, box in zip(objects.class_ids, boxes, strict=True)]
    lines += [format_label(int(row[5]), row[:4], (height, width)) for row in sure]
    unsure = {CLASS_NAMES[int(row[5])] for row in added if row[4] < SURE}
    return lines, tuple(name for name in CLASS_NAMES if name in labelled or name not in unsure)


def _overlaps(box: Float32Array, boxes: Float32Array) -> bool:
    return bool((box_iou(box[None], boxes) > _SAME_OBJECT_IOU).any())


def _write_data(out: Path, sets: Path, lists: dict[tuple[str, ...], list[str]]) -> Path:
    """Write one list of training images for each tuple of classes, and the data file that names the lists."""
    masks = {}
    for known, images in sorted(lists.items()):
        entry = f"train_{'_'.join(known) or 'none'}.txt"
        (out / entry).write_text("\n".join(images) + "\n", encoding="utf-8")
        masks[entry] = list(known)
    val = {str((sets / source.images).resolve()): list(source.labelled) for source in VAL_SOURCES}
    data = {"train": list(masks), "val": list(val), "names": list(CLASS_NAMES), "labelled": masks | val}
    path = out / "data.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path
