"""Training examples: the order of the images, their augmentation, and the batches.

Seed, epoch and place in the epoch decide every example, whatever process loads it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from streamdet.data.dataset import ClassifiedImage, LabelledImage
from streamdet.data.images import read_image
from streamdet.data.shapes import Corners, KeyPoints, Shapes, joined, rasterised
from streamdet.errors import InputError
from streamdet.machine import core_count
from streamdet.train import augment, mixing
from streamdet.train.assign import Targets
from streamdet.train.augment import Example
from streamdet.train.config import TrainConfig

MASK_STRIDE_PX = 4  # the side of a cell of the masks that are learned
SAMPLED_IMAGES, _SAMPLED_BATCH = 32, 8  # for the statistics of a network before its training
Drawn = tuple[Example, tuple[bool, ...]]  # an example, and by class id whether it is labelled for the class


class Draw(NamedTuple):
    """A place in the order of an epoch, and the index of the image at this place."""

    epoch: int
    place: int
    image: int


@dataclass(slots=True)
class Order(Sampler[list[Draw]]):
    """The batches of one epoch from batch `first` on: a permutation of `images` indices, by `seed` and `epoch`.

    `epoch` and `first` may be changed between two epochs. The process `rank` gets every `world`-th batch. Images at the
    end that do not fill a batch for every process are left out in this epoch.
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
        # Every batch is full: a set smaller than that is repeated.
        places = np.resize(order, len(self) * self.batch * self.world)
        for index in range(self.first, len(self)):
            start = (index * self.world + self.rank) * self.batch
            yield [Draw(self.epoch, start + k, int(places[start + k])) for k in range(self.batch)]


class Examples(Dataset[Drawn]):
    """The augmented images of a split. The same draw gives the same pixels in every process."""

    def __init__(self, images: Sequence[LabelledImage], settings: TrainConfig) -> None:
        self._images, self._settings = images, settings
        self._kept: dict[int, Example] = {}
        # Targets have one mask per image: images joined to it must be labelled for all classes that it is labelled for.
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
        # Nothing is drawn for what is off, so that a training of an earlier version goes on as it began.
        if settings.copy_paste:
            example = mixing.copy_paste(example, self._source(draw, example, rng), settings.copy_paste, rng)
        if rng.random() < settings.mixup:
            partner = self._square(self._partner(draw, rng), rng)
            example = mixing.mixup(example, partner, settings.mixup_alpha, rng)
        if rng.random() < settings.cutmix:
            example = mixing.cutmix(example, self._square(self._partner(draw, rng), rng), rng)
        if rng.random() < settings.cutout:
            example = mixing.cutout(example, rng)
        example = augment.flip(augment.hsv(example, settings, rng), settings, rng)
        # Partners may add objects of classes that the image is not labelled for.
        labelled = self._images[draw.image].labelled
        return example.only(np.array(labelled)[example.class_ids]), labelled

    def _square(self, draw: Draw, rng: augment.Generator) -> Example:
        """Return the image or a mosaic that begins with it, as a square of the training size.

        Of an image that shows one class it is a part, as large as `settings.scale` allows.
        """
        settings = self._settings
        example = self._load(draw.image)
        if isinstance(self._images[draw.image], ClassifiedImage):
            return augment.crop(example, settings.imgsz, settings, rng)
        closing = draw.epoch >= settings.epochs - settings.close_mosaic
        if not closing and rng.random() < settings.mosaic:
            partners = [self._load(self._partner(draw, rng).image) for _ in range(3)]
            example = mixing.mosaic([example, *partners], settings.imgsz, rng)
        return augment.perspective(augment.warp(example, settings.imgsz, settings, rng), settings, rng)

    def _source(self, draw: Draw, example: Example, rng: augment.Generator) -> Example:
        """Return the example whose objects are pasted into `example`."""
        if self._settings.copy_paste_mode == "flip":
            return augment.mirrored(example)
        return self._square(self._partner(draw, rng), rng)

    def _partner(self, draw: Draw, rng: augment.Generator) -> Draw:
        partners = self._partners[self._images[draw.image].labelled]
        return draw._replace(image=partners[int(rng.integers(len(partners)))])

    def _load(self, index: int) -> Example:
        if index in self._kept:
            return self._kept[index]
        example = load(self._images[index])
        if not isinstance(self._images[index], ClassifiedImage):  # of which a part is enlarged
            example = example.resized(self._settings.imgsz)
        if self._settings.cache:
            self._kept[index] = example
        return example


def load(image: LabelledImage) -> Example:
    """Return the image with its labels as they are on disk; raises InputError if it cannot be decoded."""
    pixels = read_image(image.image)
    if pixels is None:
        raise InputError(f"{image.image}: expected an image, but it cannot be decoded")
    objects, _ = image.read_labels()
    height, width = pixels.shape[:2]
    boxes = objects.boxes * np.array([width, height] * 2, np.float32)
    shapes = objects.shapes and objects.shapes.moved(np.diag([width, height, 0])[:2])
    return Example(pixels, objects.class_ids, boxes, shapes)


def batch_loader(examples: Examples, order: Order, workers: int, *, pin_memory: bool) -> DataLoader[Drawn]:
    """Return a loader of the batches of `order`, in up to `workers` processes, but not more than cores.

    It yields what `collate` returns. `pin_memory` speeds up the copy of a batch to a GPU.
    """
    workers = min(workers, core_count())
    return DataLoader(
        examples,
        batch_sampler=order,
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=_prepare_worker,
        # A forked worker would wait forever for the threads that OpenCV has started in this process.
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
        pin_memory=pin_memory,
    )


def sample_batches(images: Sequence[LabelledImage], settings: TrainConfig) -> Iterator[Tensor]:
    """Yield batches f32 (B, 3, H, W) in [0, 1] of `SAMPLED_IMAGES` examples in all, by the seed."""
    examples = Examples(images, settings)
    chosen = np.resize(np.random.default_rng(settings.seed).permutation(len(images)), SAMPLED_IMAGES).tolist()
    draws = [Draw(0, place, image) for place, image in enumerate(chosen)]
    for start in range(0, SAMPLED_IMAGES, _SAMPLED_BATCH):
        batch, _ = collate([examples[draw] for draw in draws[start : start + _SAMPLED_BATCH]])
        yield batch.float() / 255


def collate(drawn: Sequence[Drawn]) -> tuple[Tensor, Targets]:
    """Return a batch: images uint8 (B, 3, H, W) in channels-last memory, and their targets."""
    images = torch.from_numpy(np.stack([example.image for example, _ in drawn])).permute(0, 3, 1, 2)
    counts = torch.tensor([len(example.boxes) for example, _ in drawn])
    shapes = [example.shapes for example, _ in drawn if example.shapes is not None]
    return images, Targets(
        torch.from_numpy(np.concatenate([example.boxes for example, _ in drawn])),
        torch.from_numpy(np.concatenate([example.class_ids for example, _ in drawn])),
        torch.repeat_interleave(torch.arange(len(drawn)), counts),
        torch.tensor([labelled for _, labelled in drawn]),
        **(_shape_targets(joined(shapes), drawn[0][0].hw) if shapes else {}),
    )


def _shape_targets(shapes: Shapes, hw: tuple[int, int]) -> dict[str, Tensor]:
    """Return what `Targets` states of `shapes` in images of `hw` px, by its name there."""
    if isinstance(shapes, KeyPoints):
        return {"keypoints": torch.from_numpy(shapes.by_object())}
    if isinstance(shapes, Corners):
        return {"rotated": torch.from_numpy(shapes.rotated())}
    cells = hw[0] // MASK_STRIDE_PX, hw[1] // MASK_STRIDE_PX
    in_cells = shapes.moved(np.diag([1 / MASK_STRIDE_PX, 1 / MASK_STRIDE_PX, 0])[:2])
    masks = [rasterised(ring, cells).astype(np.uint8) for ring in in_cells]
    return {"masks": torch.from_numpy(np.stack(masks) if masks else np.zeros((0, *cells), np.uint8))}


def _prepare_worker(worker: int) -> None:
    cv2.setNumThreads(1)
    # Ctrl-C must reach the training loop only, which still needs the batches that the workers are loading. SIGTERM
    # keeps its effect: the loop ends the workers by it.
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
