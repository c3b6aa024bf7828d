"""Detects in labelled images and pairs what is found with what their labels say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from streamdet.data.images import read_image
from streamdet.data.labels import read_labels
from streamdet.data.spec import LabelledImage
from streamdet.errors import InputError, StreamdetError
from streamdet.evaluate.det import ScoredImage
from streamdet.types import Detections, Frame, Int64Array

Detect = Callable[[Iterable[Frame]], Iterator[tuple[Frame, Detections]]]


def matched_classes(class_names: Sequence[str], model_names: Sequence[str]) -> Int64Array:
    """Return for each class of a model the class of the data with the same name, i64, -1 for none.

    Raises InputError when no name is common.
    """
    ids = {name: class_id for class_id, name in enumerate(class_names)}
    matched = np.array([ids.get(name, -1) for name in model_names], np.int64)
    if (matched < 0).all():
        some, others = (", ".join([*names[:6], "..."][: len(names)]) for names in (class_names, model_names))
        raise InputError(f"expected a model that knows classes of the data ({some}), found one that knows {others}")
    return matched


def scored_images(
    images: Sequence[LabelledImage], class_names: Sequence[str], matched: Int64Array, detect: Detect
) -> Iterator[ScoredImage]:
    """Yield each of `images` with its labels and what `detect` finds in it, as classes of the data.

    `matched` comes from `matched_classes`; an image counts as not labelled for classes that the model does not know.
    """
    known = np.isin(np.arange(len(class_names)), matched)
    for frame, detections in detect(_frames(images)):
        files = images[frame.index]
        objects, _ = read_labels(files.label, len(class_names))
        height, width = frame.image.shape[:2]
        yield ScoredImage(
            (height, width),
            objects.class_ids,
            objects.boxes * np.array([width, height] * 2, np.float32),
            _renamed(detections, matched),
            tuple((known & np.array(files.labelled)).tolist()),
        )


def _frames(images: Sequence[LabelledImage]) -> Iterator[Frame]:
    for index, files in enumerate(images):
        image = read_image(files.image)
        if image is None:
            raise StreamdetError(f"{files.image}: expected an image, but it cannot be decoded any more")
        yield Frame(index, index, Fraction(1), image, str(files.image), time.monotonic())


def _renamed(detections: Detections, matched: Int64Array) -> Detections:
    """Return the detections of classes that the data has, with its class ids."""
    class_ids = matched[detections.class_ids]
    kept = class_ids >= 0
    return Detections(detections.boxes[kept], detections.scores[kept], class_ids[kept])
