"""The folder that drafts go to: images, labels and a data file, in YOLO format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import yaml

from streamdet.data.labels import format_label
from streamdet.data.spec import Split
from streamdet.errors import InputError, OutputError
from streamdet.labelling.draft import Draft
from streamdet.types import UInt8Array

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
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"writing {path} failed: {error.strerror}") from error
