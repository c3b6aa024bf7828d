"""The exact ground truth of a rendered frame, and of a whole scene as the MOTChallenge writes it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamdet.types import Float32Array, Int64Array

CLASS_NAMES = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
PERSON, BICYCLE, CAR, MOTORCYCLE, BUS, TRUCK = range(len(CLASS_NAMES))
# An object counts as clear from this visible share and this height.
LEAST_VISIBLE = 0.25
LEAST_HEIGHT_PX = 8.0
# Classes of MOT16 (arXiv 1603.00831, table 2): pedestrians are scored, tracks on distractors cost nothing.
_SCORED, _DISTRACTOR = 1, 8


@dataclass(frozen=True, slots=True)
class SceneTruth:
    """The objects of one frame, a row each.

    `ids` i64 (N,) from 1; `class_ids` i64 (N,) in the order of CLASS_NAMES; `boxes` f32 (N, 4) x1, y1, x2, y2 px around
    the whole silhouette, hidden parts included, clipped to the image; `visible` f32 (N,) the share of the silhouette
    that lies in the image and is not hidden, 0 to 1.

    The others are None unless `shapes` were asked for. `masks` bool (N, H, W) are the pixels in which each object is
    seen. `keypoints` f32 (N, 17, 3) are the joints of persons in the order of COCO: x, y in px and 2 where it is seen,
    1 where hidden; zeros where it lies outside of the image, or the object is no person. `rotated` f32 (N, 5) are
    rectangles around the whole silhouette within the image whose width lies along the heading of a vehicle as seen,
    upright for persons: centre x, y, width and height in px, angle in rad from the x axis towards y.
    """

    ids: Int64Array
    class_ids: Int64Array
    boxes: Float32Array
    visible: Float32Array
    masks: npt.NDArray[np.bool_] | None = None
    keypoints: Float32Array | None = None
    rotated: Float32Array | None = None

    def __post_init__(self) -> None:
        for column in (getattr(self, field.name) for field in fields(self)):
            if column is not None:
                column.flags.writeable = False

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def clear(self) -> npt.NDArray[np.bool_]:
        """Mask (N,) of the objects that a detector should find: visible and high enough."""
        high = self.boxes[:, 3] - self.boxes[:, 1] >= LEAST_HEIGHT_PX
        seen: npt.NDArray[np.bool_] = high & (self.visible >= LEAST_VISIBLE)
        return seen


class Truthful(Protocol):
    """A video with ground truth, such as Scene."""

    @property
    def frame_count(self) -> int:
        """Number of frames."""

    @property
    def frame_rate(self) -> Fraction:
        """Frames per s."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""

    def truth(self, index: int) -> SceneTruth:
        """Return the objects of frame `index`, from 0."""


def mot_rows(scene: Truthful, class_ids: Collection[int]) -> Iterator[str]:
    """Yield the lines of a MOT16 ``gt.txt``: frame, id, x, y, width, height, flag, class, visibility.

    Objects of `class_ids` are scored, flag 1 and class 1 (pedestrian), because the MOTChallenge scores nothing else.
    All others, and those that are not clear (see SceneTruth), get flag 0 and class 8 (distractor): tracks on them
    cost nothing.
    """
    for index in range(scene.frame_count):
        truth = scene.truth(index)
        scored = truth.clear & np.isin(truth.class_ids, list(class_ids))
        for row in range(len(truth)):
            x1, y1, x2, y2 = truth.boxes[row].tolist()
            kind = _SCORED if scored[row] else _DISTRACTOR
            yield (
                f"{index + 1},{truth.ids[row]},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},"
                f"{int(scored[row])},{kind},{truth.visible[row]:.3f}\n"
            )


def write_mot_truth(scene: Truthful, folder: Path, class_ids: Collection[int] = (0,)) -> None:
    """Write ``gt/gt.txt`` and ``seqinfo.ini`` of `scene` to `folder`, a MOTChallenge sequence of that name.

    Raises OSError when the folder cannot be written.
    """
    (folder / "gt").mkdir(parents=True, exist_ok=True)
    (folder / "gt" / "gt.txt").write_text("".join(mot_rows(scene, class_ids)), encoding="ascii")
    width, height = scene.size
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate={float(scene.frame_rate):g}\n"
        f"seqLength={scene.frame_count}\nimWidth={width}\nimHeight={height}\nimExt=.jpg\n",
        encoding="utf-8",
    )
