"""What a model's task adds to the rows of a track file: masks, key points, rotated boxes, classes of the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamdet.errors import MissingExtraError
from streamdet.masks import HALF, Masks
from streamdet.result import Result
from streamdet.rows import class_name

BoolArray = npt.NDArray[np.bool_]
MOST_PROBABLE = 5  # classes of an image that are listed


def added_values(result: Result) -> list[dict[str, Any]]:
    """Return what the task adds to each track, by name; nothing for a model that only detects.

    - ``mask``: the run lengths of COCO, ``{"size": [height, width], "counts": text}``; None for a predicted track.
    - ``keypoints``: x, y in px and visibility of each.
    - ``rotated``: centre x, y, width, height in px, angle in rad.

    Raises MissingExtraError for masks without pycocotools.
    """
    tracks, masks = result.tracks, result.detections.masks
    values: list[dict[str, Any]] = [{} for _ in range(len(tracks))]
    if masks is not None:
        for row, index in zip(values, tracks.detection_index.tolist(), strict=True):
            row["mask"] = _mask(masks, index) if index >= 0 else None
    if tracks.keypoints is not None:
        for row, points in zip(values, tracks.keypoints.tolist(), strict=True):
            row["keypoints"] = [[round(x, 2), round(y, 2), round(visible, 4)] for x, y, visible in points]
    if tracks.rotated is not None:
        for row, (*sides, angle) in zip(values, tracks.rotated.tolist(), strict=True):
            row["rotated"] = [*(round(side, 2) for side in sides), round(angle, 4)]
    return values


def image_values(result: Result) -> dict[str, Any]:
    """Return the class of the image that is shown, and the most probable ones; nothing unless the model classifies."""
    values: dict[str, Any] = {}
    if result.image_class is not None:
        values["image_class"] = _class(*result.image_class)
    probabilities = result.detections.probabilities
    if probabilities is not None:
        best = np.argsort(-probabilities, kind="stable")[:MOST_PROBABLE].tolist()
        names = result.class_names
        values["classes"] = [_class(each, class_name(each, names), float(probabilities[each])) for each in best]
    return values


def _class(class_id: int, name: str, probability: float) -> dict[str, Any]:
    return {"class_id": class_id, "class_name": name, "probability": round(probability, 4)}


def _mask(masks: Masks, index: int) -> dict[str, Any]:
    x, y, values = masks.patch(index)
    return run_lengths(x, y, values >= HALF, masks.image_hw)


def run_lengths(x: int, y: int, inside: BoolArray, image_hw: tuple[int, int]) -> dict[str, Any]:
    """Return a mask, `inside` bool (h, w) from column `x` and row `y` of an image, as the run lengths of COCO.

    They count down the columns of the image, pixels outside and inside in turn. Raises MissingExtraError without
    pycocotools.
    """
    height, width = image_hw
    rows, columns = inside.shape
    down = np.zeros((columns, rows + 1), bool)  # a pixel outside ends each column
    down[:, :-1] = inside.T
    changes = np.flatnonzero(np.diff(down.ravel(), prepend=False))
    edges = (x + changes // (rows + 1)) * height + y + changes % (rows + 1)
    # A run that ends with its column of the image may go on in the next.
    goes_on = 1 + 2 * np.flatnonzero(edges[1:-1:2] == edges[2::2])
    edges = np.delete(edges, np.concatenate([goes_on, goes_on + 1]))
    counts = np.diff(edges, prepend=0, append=height * width)
    plain = {"size": [height, width], "counts": counts[: None if counts[-1] else -1].tolist()}
    return plain | {"counts": coco_masks().frPyObjects(plain, height, width)["counts"].decode("ascii")}


def coco_masks() -> Any:
    """Return the module of pycocotools that compresses run lengths; raises MissingExtraError if it is missing."""
    try:
        from pycocotools import mask
    except ImportError:
        raise MissingExtraError("pycocotools", "train") from None
    return mask
