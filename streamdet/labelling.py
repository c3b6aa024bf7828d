"""Draft labels for a video, from its tracks: the choice of frames, their labels, and the folder in YOLO format.

A person corrects the drafts before a training uses them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
import yaml

from streamdet.boxes import box_iou
from streamdet.data.check import TINY_PX
from streamdet.data.dataset import Split
from streamdet.data.labels import format_label
from streamdet.errors import InputError, OutputError, shown
from streamdet.files import path_kind, replacing
from streamdet.result import Result
from streamdet.types import Float32Array, Int64Array, Tracks, UInt8Array
from streamdet.yaml_file import read_yaml

# The share of changed objects times the time since the last chosen frame in s; where all change, two frames per second.
MIN_CHANGE_S = 0.5
# An object whose boxes overlap less than this has moved.
MIN_IOU = 0.5
# The mean difference of two grey thumbnails, in grey levels, above which the whole scene has changed.
SCENE_DIFFERENCE = 12.0
VAL_SHARE = 0.2

_THUMBNAIL_PX = (32, 32)
_JPEG_QUALITY = 95


class Novelty:
    """Chooses frames that differ from the last chosen one.

    Where everything changes, frames are chosen every half second; where one of ten objects moves, every five seconds;
    where nothing changes, never.
    """

    def __init__(self) -> None:
        self._time_s = 0.0
        self._thumbnail: Float32Array | None = None
        self._boxes: dict[int, Float32Array] = {}

    def __call__(self, time_s: float, image: UInt8Array, tracks: Tracks) -> bool:
        """Return whether the frame `image` uint8 (H, W, 3) with `tracks` is chosen, as the first one always is."""
        thumbnail = np.asarray(cv2.resize(image, _THUMBNAIL_PX, interpolation=cv2.INTER_AREA), np.float32).mean(2)
        boxes = dict(zip(tracks.ids.tolist(), tracks.boxes, strict=True))
        if self._thumbnail is not None:
            change = _moved_share(self._boxes, boxes)
            if np.abs(thumbnail - self._thumbnail).mean() > SCENE_DIFFERENCE:
                change = 1.0
            if change * (time_s - self._time_s) < MIN_CHANGE_S:
                return False
        self._time_s, self._thumbnail, self._boxes = time_s, thumbnail, boxes
        return True


def _moved_share(before: dict[int, Float32Array], after: dict[int, Float32Array]) -> float:
    """Return the share of the objects, by id, that appeared, disappeared or moved."""
    ids = before.keys() | after.keys()
    common = sorted(before.keys() & after.keys())
    overlaps = [box_iou(before[track_id][None], after[track_id][None]).item() for track_id in common]
    unmoved = sum(overlap >= MIN_IOU for overlap in overlaps)
    return (len(ids) - unmoved) / max(len(ids), 1)


class Draft(NamedTuple):
    """The labels of one frame: `class_ids` i64 (N,), `boxes` f32 (N, 4) xyxy in px, inside the image."""

    frame_index: int
    class_ids: Int64Array
    boxes: Float32Array

    def renumbered(self, class_ids: Sequence[int]) -> Draft:
        """Return the draft with each class id replaced by its index in `class_ids`."""
        places = {class_id: place for place, class_id in enumerate(class_ids)}
        renumbered = np.array([places[class_id] for class_id in self.class_ids.tolist()], np.int64)
        return self._replace(class_ids=renumbered)


def draft(
    results: Iterable[Result], every: int | Literal["auto"], conf: float, *, has_times: bool = True
) -> list[Draft]:
    """Return the labels of every `every`-th frame, or with "auto" of the frames that `Novelty` chooses.

    A track whose mean score over the video is at least `conf` is labelled in all chosen frames, also where its score is
    lower or its box was filled in. Without times, as in a folder of images, frames count as one second apart.
    """
    novelty = Novelty()
    scores: dict[int, list[float]] = defaultdict(list)
    kept: list[tuple[int, tuple[int, int], Tracks]] = []
    for count, result in enumerate(results):
        frame, tracks = result.frame, result.tracks
        for track_id, score in zip(tracks.ids.tolist(), tracks.scores.tolist(), strict=True):
            scores[track_id].append(score)
        time_s = float(frame.time) if has_times else float(count)
        is_chosen = novelty(time_s, frame.image, tracks) if every == "auto" else frame.index % every == 0
        if is_chosen:
            kept.append((frame.index, frame.image.shape[:2], tracks))
    certain = [track_id for track_id, values in scores.items() if np.mean(values) >= conf]
    return [_labels(frame_index, image_hw, tracks, certain) for frame_index, image_hw, tracks in kept]


def _labels(frame_index: int, image_hw: tuple[int, int], tracks: Tracks, certain: list[int]) -> Draft:
    height, width = image_hw
    boxes = tracks.boxes.clip(0, np.array([width, height] * 2, np.float32))
    is_labelled = np.isin(tracks.ids, certain) & (boxes[:, 2:] - boxes[:, :2] >= TINY_PX).all(1)
    return Draft(frame_index, tracks.class_ids[is_labelled], boxes[is_labelled])


class LabelFolder:
    """The folder `path` with ``images/SPLIT``, ``labels/SPLIT`` and ``data.yaml``; existing files are not changed.

    `written` counts the label files that were written, `left` those that existed. Files are written atomically, and a
    label before its image, so that the folder is a valid data set at any time. Raises InputError when the folder cannot
    be written, or its ``data.yaml`` has other classes.
    """

    def __init__(self, path: Path, class_names: Sequence[str]) -> None:
        self.path, self.left, self.written = path, 0, 0
        self._class_names = list(class_names)
        self._check_names()
        try:
            for kind in ("images", "labels"):
                for split in ("train", "val"):
                    (path / kind / split).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"expected a folder to write to, but {path} is none: {error.strerror}") from None
        if not self.data_file.exists():
            stated = {"train": "images/train", "val": "images/val", "names": self._class_names}
            _write(self.data_file, yaml.safe_dump(stated, sort_keys=False, allow_unicode=True).encode())

    @property
    def data_file(self) -> Path:
        """The data file for ``streamdet train``."""
        return self.path / "data.yaml"

    def write(self, name: str, split: Split, image: UInt8Array, draft: Draft) -> None:
        """Write `image` uint8 (H, W, 3) RGB and its labels as `name`, each unless it exists.

        A name that has a label in one of the splits stays there. Raises OutputError when a file cannot be written.
        """
        split = next((known for known in ("train", "val") if self._label(known, name).exists()), split)
        label, picture = self._label(split, name), self.path / "images" / split / f"{name}.jpg"
        if label.exists():
            self.left += 1
        else:
            height, width = image.shape[:2]
            pairs = zip(draft.class_ids.tolist(), draft.boxes, strict=True)
            lines = [format_label(class_id, box, (height, width)) + "\n" for class_id, box in pairs]
            _write(label, "".join(lines).encode())
            self.written += 1
        if not picture.exists():
            bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            _write(picture, cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes())

    def _label(self, split: str, name: str) -> Path:
        return self.path / "labels" / split / f"{name}.txt"

    def _check_names(self) -> None:
        if path_kind(self.data_file) is None:
            return
        names = read_yaml(self.data_file, "a data file with names", as_written=("names",)).get("names")
        if names != self._class_names:
            expected = shown(self._class_names)
            raise InputError(f"{self.data_file}: expected the classes {expected}, found {shown(names)}")


def choose_split(place: int, count: int) -> Split:
    """Return the split of frame `place` of `count`: the last fifth is for validation.

    Splits are not mixed in time, since neighbouring frames are too similar to validate with.
    """
    return "train" if place < count - int(VAL_SHARE * count) else "val"


def _write(path: Path, content: bytes) -> None:
    try:
        with replacing(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise OutputError(f"writing {path} failed: {error.strerror}") from error
