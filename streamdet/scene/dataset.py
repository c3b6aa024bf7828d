"""Rendered streets as a data set: frames of several scenes, and the labels of a task that the scenes state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from streamdet.data.check import TINY_PX
from streamdet.data.dataset import Split
from streamdet.data.folder import choose_split
from streamdet.data.labels import format_label, format_points, format_pose
from streamdet.data.shapes import outline
from streamdet.rows import rotated_corners
from streamdet.scene.pose import JOINTS
from streamdet.scene.scene import Scene, SceneOptions
from streamdet.scene.truth import CLASS_NAMES, PERSON, SceneTruth
from streamdet.types import UInt8Array

# Of each scene, spread over its length: a scene takes as long to set up as ten of its frames.
MOST_FRAMES = 10
# The first seeds are for videos: what is trained on a data set can be tried on them.
FIRST_SEED = 20_000
STREETS = f"scene://street?seed={FIRST_SEED}&seconds=40&fps=1&time=any&weather=any&camera=any&crowd=any"
# Left and right joints change their places in a mirrored image.
POSE_KEYS = {
    "kpt_shape": [JOINTS, 3],
    "flip_idx": [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15],
}
# A crop of an object is enlarged by this share of its sides; below this side in px it shows too little to classify.
_MARGIN, _LEAST_CROP_PX = 0.1, 32
_SCENES = 5  # at least, so that one of them can be for validation


class View(NamedTuple):
    """A frame of a scene: `image` uint8 (H, W, 3) RGB and its `truth` with shapes."""

    name: str
    split: Split
    image: UInt8Array
    truth: SceneTruth


def views(first: SceneOptions, count: int) -> Iterator[View]:
    """Yield `count` frames of scenes with the seed of `first` and those after it; the last fifth of the scenes is val.

    Of a scene that is too short every frame is yielded.
    """
    scene_count = max(-(-count // MOST_FRAMES), min(count, _SCENES))
    for number in range(scene_count):
        scene = Scene(replace(first, seed=first.seed + number))
        wanted = count * (number + 1) // scene_count - count * number // scene_count
        for index in np.unique(np.linspace(0, scene.frame_count - 1, wanted).astype(int)).tolist():
            name = f"{first.seed + number}_{index:06d}"
            yield View(name, choose_split(number, scene_count), *scene.render(index, shapes=True))


def class_names(task: str) -> tuple[str, ...]:
    """Return the classes that are labelled for `task`: only persons have poses."""
    return CLASS_NAMES[PERSON : PERSON + 1] if task == "pose" else CLASS_NAMES


def label_lines(view: View, task: str) -> list[str]:
    """Return the label lines of the clear objects of `view` for detect, segment, pose or obb, see `SceneTruth.clear`.

    A polygon is what is seen of an object, in the other tasks hidden parts count too. What is tiny is left out.
    """
    truth, image_hw = view.truth, view.image.shape[:2]
    masks, points, rotated = truth.masks, truth.keypoints, truth.rotated
    assert masks is not None and points is not None and rotated is not None
    corners, lines = rotated_corners(rotated), []
    for row in np.flatnonzero(truth.clear & (truth.class_ids < len(class_names(task)))):
        class_id, box = int(truth.class_ids[row]), truth.boxes[row]
        shape = outline(masks[row]) if task == "segment" else corners[row] if task == "obb" else box.reshape(2, 2)
        if np.ptp(shape, axis=0).min() < TINY_PX:
            continue
        match task:
            case "detect":
                lines.append(format_label(class_id, box, image_hw))
            case "pose":
                lines.append(format_pose(class_id, box, points[row], image_hw))
            case _:
                lines.append(format_points(class_id, shape, image_hw))
    return lines


def crops(view: View) -> Iterator[tuple[str, str, UInt8Array]]:
    """Yield the class of each clear object of `view` that is large enough, a name, and what its box shows."""
    truth, (height, width) = view.truth, view.image.shape[:2]
    for row in np.flatnonzero(truth.clear):
        box = truth.boxes[row]
        margin = _MARGIN * np.tile(box[2:] - box[:2], 2) * (-1, -1, 1, 1)
        x1, y1, x2, y2 = (box + margin).round().astype(int).clip(0, (width, height) * 2).tolist()
        if min(x2 - x1, y2 - y1) >= _LEAST_CROP_PX:
            name = f"{view.name}_{truth.ids[row]}"
            yield CLASS_NAMES[truth.class_ids[row]], name, view.image[y1:y2, x1:x2]
