"""Drafts labels for a user's own video, which a person corrects and a training learns from."""

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
from streamdet.errors import InputError, OutputError
from streamdet.files import replacing
from streamdet.result import Result
from streamdet.types import Float32Array, Int64Array, Tracks, UInt8Array

# Change, as a share of what is seen, times the time that it took in s: at most two frames a second are chosen.
LEAST_CHANGE_S = 0.5
# An object that overlaps its former place by less has moved.
LEAST_IOU = 0.5
# Mean difference of two small grey pictures from which on the scene itself is another.
LEAST_DIFFERENCE = 12.0
_THUMBNAIL_PX = (32, 32)


class Novelty:
    """Compares every frame with the last one that was chosen.

    Where all is new, frames half a second apart are chosen; where one object of ten moves, five seconds; where nothing
    changes, none.
    """

    def __init__(self) -> None:
        self._time_s = 0.0
        self._thumbnail: Float32Array | None = None
        self._boxes: dict[int, Float32Array] = {}

    def __call__(self, time_s: float, image: UInt8Array, tracks: Tracks) -> bool:
        """Return whether the frame `image` uint8 (H, W, 3), with `tracks` in it, is chosen; the first one is."""
        thumbnail = np.asarray(cv2.resize(image, _THUMBNAIL_PX, interpolation=cv2.INTER_AREA), np.float32).mean(2)
        boxes = dict(zip(tracks.ids.tolist(), tracks.boxes, strict=True))
        if self._thumbnail is not None:
            change = _moved_share(self._boxes, boxes)
            if np.abs(thumbnail - self._thumbnail).mean() > LEAST_DIFFERENCE:
                change = 1.0
            if change * (time_s - self._time_s) < LEAST_CHANGE_S:
                return False
        self._time_s, self._thumbnail, self._boxes = time_s, thumbnail, boxes
        return True


def _moved_share(before: dict[int, Float32Array], after: dict[int, Float32Array]) -> float:
    """Return the share of the objects in either frame, by id, that came, went or moved."""
    ids = before.keys() | after.keys()
    both = sorted(before.keys() & after.keys())
    overlaps = [box_iou(before[key][None], after[key][None]).item() for key in both]
    stayed = sum(overlap >= LEAST_IOU for overlap in overlaps)
    return (len(ids) - stayed) / max(len(ids), 1)


class Draft(NamedTuple):
    """The labels of one frame: `class_ids` i64 (N,), `boxes` f32 (N, 4) xyxy in px, inside the image."""

    frame_index: int
    class_ids: Int64Array
    boxes: Float32Array

    def renumbered(self, class_ids: Sequence[int]) -> Draft:
        """Return the draft with each class id replaced by its place in `class_ids`."""
        places = {class_id: place for place, class_id in enumerate(class_ids)}
        renumbered = np.array([places[class_id] for class_id in self.class_ids.tolist()], np.int64)
        return self._replace(class_ids=renumbered)


def draft(
    results: Iterable[Result], every: int | Literal["auto"], conf: float, *, has_times: bool = True
) -> list[Draft]:
    """Return the labels of every `every`-th frame, or with "auto" of those that differ from the one before.

    A track is labelled in all frames, also where its score is low or its place was filled in, if its mean score over
    the video is at least `conf`. Without times, as in a folder of images, frames count as a second apart.
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


VAL_SHARE = 0.2
_JPEG_QUALITY = 95


class LabelFolder:
    """``images/SPLIT``, ``labels/SPLIT`` and ``data.yaml`` in `path`; a file that is there already stays as it is.

    `left` counts the label files that stayed. Every file appears whole or not at all, and a label before its image, so
    that the folder can be trained from at any moment. Raises InputError when the folder cannot be written, or is of
    other classes.
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
        """What ``streamdet train`` takes."""
        return self.path / "data.yaml"

    def write(self, name: str, split: Split, image: UInt8Array, draft: Draft) -> None:
        """Write `image` uint8 (H, W, 3) RGB and its labels under `name`, unless it is there; raises OutputError."""
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
        try:
            names = yaml.safe_load(self.data_file.read_text("utf-8"))["names"]
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
            raise InputError(f"{self.data_file}: expected a data file with names, but it cannot be read") from None
        if names != self._class_names:
            raise InputError(f"{self.data_file}: expected the classes {self._class_names}, found {names}")


def split_of(place: int, count: int) -> Split:
    """Return the split of frame `place` of `count`: the last fifth validates, for neighbours in time look alike."""
    return "train" if place < count - int(VAL_SHARE * count) else "val"


def _write(path: Path, content: bytes) -> None:
    try:
        with replacing(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise OutputError(f"writing {path} failed: {error.strerror}") from error
