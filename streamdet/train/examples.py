"""Draws training examples: which images, in which order, changed how, all decided by seed, epoch and place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from streamdet.data.dataset import LabelledImage
from streamdet.data.labels import read_labels
from streamdet.errors import InputError
from streamdet.train import augment
from streamdet.train.assign import Targets
from streamdet.train.augment import Example
from streamdet.train.config import TrainConfig

Drawn = tuple[Example, tuple[bool, ...]]  # and the classes it is labelled for


class Draw(NamedTuple):
    """One place in the order of an epoch, and the image that stands there."""

    epoch: int
    place: int
    image: int


@dataclass(slots=True)
class Order(Sampler[list[Draw]]):
    """The batches of one epoch from batch `first` on: a permutation of `images` that seed and epoch decide.

    `epoch` and `first` may be changed between two epochs. With several processes each takes every `world`-th
    batch-sized piece. What fills no batch for every process waits
    for another epoch, whose order is another.
    """

    images: int
    batch: int
    seed: int
    epoch: int
    first: int = 0
    rank: int = 0
    world: int = 1

    def __len__(self) -> int:
        return max(self.images // (self.batch * self.world), 1)

    def __iter__(self) -> Iterator[list[Draw]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.images)
        # Small sets are drawn from again: every batch is full.
        places = np.resize(order, len(self) * self.batch * self.world)
        for index in range(self.first, len(self)):
            start = (index * self.world + self.rank) * self.batch
            yield [Draw(self.epoch, start + k, int(places[start + k])) for k in range(self.batch)]


class Examples(Dataset[Drawn]):
    """The images of a split, augmented. The same draw gives the same pixels in every process."""

    def __init__(self, images: Sequence[LabelledImage], class_count: int, settings: TrainConfig) -> None:
        self._images, self._class_count, self._settings = images, class_count, settings
        # The loss knows one mask per image: what joins an image must be labelled for all that the image is.
        self._partners = {
            mask: [
                i
                for i, image in enumerate(images)
                if not any(m > own for m, own in zip(mask, image.labelled, strict=True))
            ]
            for mask in {image.labelled for image in images}
        }

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, draw: Draw) -> Drawn:
        settings = self._settings
        rng = np.random.default_rng([settings.seed, draw.epoch, draw.place])
        example = self._square(draw, rng)
        if rng.random() < settings.mixup:
            example = augment.mixup(example, self._square(self._partner(draw, rng), rng), rng)
        if rng.random() < settings.cutmix:
            example = augment.cutmix(example, self._square(self._partner(draw, rng), rng), rng)
        if rng.random() < settings.cutout:
            example = augment.cutout(example, rng)
        example = augment.flip(augment.hsv(example, settings, rng), settings, rng)
        # Partners may show objects of classes that the image is not labelled for: the loss must not ask for those.
        labelled = self._images[draw.image].labelled
        return example.only(np.array(labelled)[example.class_ids]), labelled

    def _square(self, draw: Draw, rng: augment.Generator) -> Example:
        """Return an image or a mosaic as a square of the training size."""
        settings = self._settings
        example = self._load(draw.image)
        closing = draw.epoch >= settings.epochs - settings.close_mosaic
        if not closing and rng.random() < settings.mosaic:
            partners = [self._load(self._partner(draw, rng).image) for _ in range(3)]
            example = augment.mosaic([example, *partners], settings.imgsz, rng)
        return augment.warp(example, settings.imgsz, settings, rng)

    def _partner(self, draw: Draw, rng: augment.Generator) -> Draw:
        partners = self._partners[self._images[draw.image].labelled]
        return draw._replace(image=partners[int(rng.integers(len(partners)))])

    def _load(self, index: int) -> Example:
        return load(self._images[index], self._class_count).resized(self._settings.imgsz)


def load(image: LabelledImage, class_count: int) -> Example:
    """Return the image with its labels as they are on disk; raises InputError when it cannot be decoded."""
    pixels = cv2.imread(str(image.image), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise InputError(f"{image.image}: expected an image, but it cannot be decoded")
    objects, _ = read_labels(image.label, class_count)
    height, width = pixels.shape[:2]
    return Example(
        np.asarray(pixels, np.uint8), objects.class_ids, objects.boxes * np.array([width, height] * 2, np.float32)
    )


def collate(drawn: Sequence[Drawn]) -> tuple[Tensor, Targets]:
    """Return a batch: images uint8 (B, 3, H, W) in channels-last memory, and their targets."""
    images = torch.from_numpy(np.stack([example.image for example, _ in drawn])).permute(0, 3, 1, 2)
    counts = torch.tensor([len(example.boxes) for example, _ in drawn])
    return images, Targets(
        torch.from_numpy(np.concatenate([example.boxes for example, _ in drawn])),
        torch.from_numpy(np.concatenate([example.class_ids for example, _ in drawn])),
        torch.repeat_interleave(torch.arange(len(drawn)), counts),
        torch.tensor([labelled for _, labelled in drawn]),
    )
