"""The check of a data set before a training: every image is decoded, every label read, and what is wrong reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from streamdet.data.dataset import Dataset, LabelledImage, Split
from streamdet.data.images import ImageFacts, examine_all
from streamdet.data.labels import Fault, FaultKind, Objects
from streamdet.data.locate import exists
from streamdet.data.shapes import Corners
from streamdet.types import Float32Array, Int64Array

SPLITS: tuple[Split, ...] = ("train", "val")
TINY_PX = 2.0  # a box with a shorter side shows nothing to learn from
_RECTANGLE = 0.9  # the least share of a rectangle around four corners that they enclose, if they are drawn as its own

FindingKind = (
    FaultKind
    | Literal["broken image", "no label file", "no objects", "class not stated", "tiny box"]
    | Literal["not a rectangle", "same image twice", "also in train"]
)


class Finding(NamedTuple):
    """A fault of the file at `path`; `detail` describes it, or where in the file it is."""

    kind: FindingKind
    path: Path
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """An image with its labels, and the faults of its label file."""

    files: LabelledImage
    facts: ImageFacts
    has_labels: bool
    objects: Objects
    faults: tuple[Fault, ...]

    @property
    def usable(self) -> bool:
        """Whether image and labels can be read: without labels the image would be trained as one without objects."""
        return self.facts.problem is None and not any(fault.kind == "unreadable" for fault in self.faults)

    @property
    def sides_px(self) -> Float32Array:
        """Width and height of the objects' boxes in px, f32 (N, 2)."""
        sides: Float32Array = self.objects.boxes[:, 2:] - self.objects.boxes[:, :2]
        return sides * np.array([self.facts.width_px, self.facts.height_px], np.float32)

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with this image and its labels."""
        image, label = self.files.image, self.files.label
        if self.facts.problem is not None:
            yield Finding("broken image", image, self.facts.problem)
            return
        if not self.has_labels:
            yield Finding("no label file", image)
        elif not self.faults and not len(self.objects.boxes):
            yield Finding("no objects", image)
        for fault in self.faults:
            yield Finding(fault.kind, label, f"line {fault.line}: {fault.found}" if fault.line else fault.found)
        for class_id in np.unique(self.objects.class_ids).tolist():
            if not self.files.labelled[class_id]:
                yield Finding("class not stated", label, f"class {class_id}, which the data file says is not labelled")
        if isinstance(corners := self.objects.shapes, Corners):
            in_px = corners.moved(np.diag([self.facts.width_px, self.facts.height_px, 0])[:2])
            for line in self.objects.lines[in_px.fill() < _RECTANGLE]:
                yield Finding("not a rectangle", label, f"line {line}: the rectangle around its corners is trained")
        for width, height in self.sides_px[(self.sides_px < TINY_PX).any(1)]:
            yield Finding("tiny box", label, f"{width:.1f} x {height:.1f} px")


@dataclass(frozen=True, slots=True)
class DataReport:
    """The checked images of both splits, in the order of the data file."""

    dataset: Dataset
    train: tuple[CheckedImage, ...]
    val: tuple[CheckedImage, ...]

    def images(self, split: Split) -> tuple[CheckedImage, ...]:
        """Return all images of a split."""
        return self.train if split == "train" else self.val

    def usable(self, split: Split) -> tuple[LabelledImage, ...]:
        """Return the images of a split that can be used to train or to validate."""
        return tuple(image.files for image in self.images(split) if image.usable)

    def objects_by_class(self, split: Split) -> Int64Array:
        """Return the number of objects of each class in the usable images of a split, i64 (C,)."""
        counts = Counter(class_id for image in self._usable(split) for class_id in image.objects.class_ids.tolist())
        return np.array([counts[class_id] for class_id in range(len(self.dataset.class_names))], np.int64)

    def image_sides_px(self, split: Split) -> Float32Array:
        """Return the longer sides of the usable images of a split, f32 (N,)."""
        return np.array([image.facts.longer_px for image in self._usable(split)], np.float32)

    def object_sides_px(self, split: Split) -> Float32Array:
        """Return the square roots of the areas of all boxes in the usable images of a split, f32 (N,)."""
        sides = [image.sides_px for image in self._usable(split)]
        areas: Float32Array = np.concatenate([np.empty((0, 2), np.float32), *sides]).prod(1)
        return np.sqrt(areas)

    def findings(self, split: Split) -> Iterator[Finding]:
        """Yield what is wrong with each image of a split, and which images occur twice or also in ``train``."""
        in_train = {image.facts.digest: image.files.image for image in self.train} if split == "val" else {}
        first: dict[str, Path] = {}
        for image in self.images(split):
            yield from image.findings()
            path, digest = image.files.image, image.facts.digest
            if image.facts.problem is not None:
                continue
            if digest in first:
                yield Finding("same image twice", path, f"as {first[digest]}")
            if digest in in_train:
                yield Finding("also in train", path, f"as {in_train[digest]}")
            first.setdefault(digest, path)

    def _usable(self, split: Split) -> Iterator[CheckedImage]:
        return (image for image in self.images(split) if image.usable)


def check(dataset: Dataset, on_image: Callable[[], object] = lambda: None) -> DataReport:
    """Decode every image and read every label file of `dataset`; `on_image` is called after each image.

    The facts about an image are kept in the user's cache until its file changes.
    """
    images = [*dataset.train, *dataset.val]
    all_facts = examine_all([image.image for image in images], dataset.path, on_image)
    checked = tuple(map(_checked, images, all_facts))
    return DataReport(dataset, checked[: len(dataset.train)], checked[len(dataset.train) :])


def _checked(image: LabelledImage, facts: ImageFacts) -> CheckedImage:
    objects, faults = image.read_labels()
    return CheckedImage(image, facts, exists(image.label), objects, tuple(faults))
