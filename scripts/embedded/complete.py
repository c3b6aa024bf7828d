"""Completes the labels of sets that cover only some of the six classes, with the detections of a teacher."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from streamdet.boxes import box_iou
from streamdet.data.images import IMAGE_SUFFIXES, read_image
from streamdet.data.labels import format_label, read_labels
from streamdet.errors import InputError
from streamdet.scene.truth import CLASS_NAMES
from streamdet.types import Float32Array, UInt8Array

VEHICLES = CLASS_NAMES[1:]

# The classes that people labelled in each set, as its SOURCE.md states.
TRAIN_SETS = {
    "capston2_person": ("person",),
    "dhaka_road_vehicles": VEHICLES,
    "highway_cctv": ("car", "bus", "truck", "motorcycle"),
    "openimages_vehicles": (),
}
VAL_SETS = {
    "construction_ppe": ("person",),
    "motorbikes_vn": ("motorcycle", "car"),
    "toll_road_cctv": ("car", "bus", "truck"),
}

# A detection that scores SURE or more becomes a label. Between the two it may be right or wrong: the image is then not
# used for that class. Below UNSURE the class counts as absent.
SURE, UNSURE = 0.45, 0.12
_SAME_OBJECT_IOU = 0.45

# From an image uint8 (H, W, 3) RGB to the detections of a teacher, f32 (N, 6): xyxy in px, score, class id.
Finder = Callable[[UInt8Array], Float32Array]


def complete(sets: Path, teacher: Finder, out: Path) -> Path:
    """Write image lists, completed labels and the data file to `out`; returns the path of the data file.

    Images are linked, not copied. The data file states the labelled classes by list, so that the images labelled for
    the same classes share a list.
    """
    lists: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, labelled in TRAIN_SETS.items():
        images = out / "images" / name
        images.parent.mkdir(parents=True, exist_ok=True)
        if not images.is_symlink():
            images.symlink_to((sets / name / "images").resolve(), target_is_directory=True)
        (out / "labels" / name).mkdir(parents=True, exist_ok=True)
        for image in sorted(file for file in images.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES):
            known = _complete_one(image, sets / name / "labels", out / "labels" / name, labelled, teacher)
            lists[known].append(f"images/{name}/{image.name}")
    return _write_data(out, sets, lists)


def _complete_one(image: Path, labels: Path, out: Path, labelled: tuple[str, ...], teacher: Finder) -> tuple[str, ...]:
    """Write the labels of one image and return the classes that it is now labelled for."""
    pixels = read_image(image)
    if pixels is None:
        raise InputError(f"{image}: expected an image, but it cannot be decoded")
    lines, known = _completed(pixels, labels / f"{image.stem}.txt", labelled, teacher)
    (out / f"{image.stem}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
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
    val = {str((sets / name / "images").resolve()): list(labelled) for name, labelled in VAL_SETS.items()}
    data = {"train": list(masks), "val": list(val), "names": list(CLASS_NAMES), "labelled": masks | val}
    path = out / "data.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path
