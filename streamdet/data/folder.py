"""The folder of a data set in YOLO format that is being written: images, their labels and the data file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import yaml

from streamdet.data.dataset import Split
from streamdet.errors import InputError, OutputError, shown
from streamdet.files import path_kind, replacing
from streamdet.types import UInt8Array
from streamdet.yaml_file import read_yaml

VAL_SHARE = 0.2

_JPEG_QUALITY = 95


class LabelFolder:
    """The folder `path` with ``images/SPLIT``, ``labels/SPLIT`` and ``data.yaml``; existing files are not changed.

    `written` counts the label files that were written, `left` those that existed. Files are written atomically, and a
    label before its image, so that the folder is a valid data set at any time. Raises InputError when the folder cannot
    be written, or its ``data.yaml`` has other classes. `stated` are further keys of a new one, such as ``kpt_shape``.
    """

    def __init__(self, path: Path, class_names: Sequence[str], **stated: Any) -> None:
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
            keys = {"train": "images/train", "val": "images/val", "names": self._class_names, **stated}
            _write(self.data_file, yaml.safe_dump(keys, sort_keys=False, allow_unicode=True).encode())

    @property
    def data_file(self) -> Path:
        """The data file for ``streamdet train``."""
        return self.path / "data.yaml"

    def write(self, name: str, split: Split, image: UInt8Array, lines: Iterable[str]) -> None:
        """Write `image` uint8 (H, W, 3) RGB and the `lines` of its label file as `name`, each unless it exists.

        A name that has a label in one of the splits stays there. Raises OutputError when a file cannot be written.
        """
        split = next((known for known in ("train", "val") if self._label(known, name).exists()), split)
        label, picture = self._label(split, name), self.path / "images" / split / f"{name}.jpg"
        if label.exists():
            self.left += 1
        else:
            _write(label, "".join(f"{line}\n" for line in lines).encode())
            self.written += 1
        if not picture.exists():
            write_jpeg(picture, image)

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
    """Return the split of frame, or scene, `place` of `count`: the last fifth is for validation.

    Splits are not mixed in time, since neighbouring frames are too similar to validate with.
    """
    return "train" if place < count - int(VAL_SHARE * count) else "val"


def write_jpeg(path: Path, image: UInt8Array) -> None:
    """Write `image` uint8 (H, W, 3) RGB, whole or not at all; raises OutputError when it cannot be written."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _write(path, cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes())


def _write(path: Path, content: bytes) -> None:
    try:
        with replacing(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise OutputError(f"writing {path} failed: {error.strerror}") from error
