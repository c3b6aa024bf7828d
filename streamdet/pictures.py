"""Image files that a run writes: the drawn pictures of images, and the best crop of every track."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from streamdet.errors import InputError, OutputError
from streamdet.files import replacing
from streamdet.result import Result
from streamdet.types import UInt8Array

# The formats that are written, by the ending of the file; they hold 8 bits of each colour.
PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class ImageSink:
    """A folder of pictures, made if missing, in files of `names`; each replaces an earlier one when it is whole.

    Raises InputError when there can be no such folder.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.warnings: list[str] = []
        self._folder, self._names = _made(folder, "pictures"), names

    def write(self, image: UInt8Array, pts: int, time_base: Fraction) -> None:
        """Write `image`, uint8 (H, W, 3) RGB, to the file of name `pts`; raises OutputError, as on a full disk."""
        _write(image, self._folder / self._names[pts])

    def __enter__(self) -> ImageSink:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: no file stays open between pictures."""


class CropSink:
    """The best crop of each track as ``ID.jpg`` in `folder`, made if missing: that of the largest score times area.

    Crops are parts of the frame, without drawing, where the track was detected; one that reaches out of the frame is
    cut, and counts with what is left. A crop is written when its track is gone from the results, and at the end. Raises
    InputError when there can be no such folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = _made(folder, "crops")
        self._best: dict[int, float] = {}
        self._held: dict[int, UInt8Array] = {}  # the best crops that are not written yet, by id

    def write(self, result: Result) -> None:
        """Look for better crops in the next result; raises OutputError when one cannot be written."""
        tracks, image = result.tracks, result.frame.image
        height, width = image.shape[:2]
        low, high = np.floor(tracks.boxes[:, :2]), np.ceil(tracks.boxes[:, 2:])
        corners = np.hstack([low, high]).clip(0, [width, height] * 2).astype(int)
        areas = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
        values = tracks.scores * areas * (tracks.detection_index >= 0)
        for track_id, (x1, y1, x2, y2), value in zip(tracks.ids.tolist(), corners, values.tolist(), strict=True):
            if value > self._best.get(track_id, 0.0):
                self._best[track_id], self._held[track_id] = value, image[y1:y2, x1:x2].copy()
        self._save(self._held.keys() - set(tracks.ids.tolist()))

    def _save(self, ids: set[int]) -> None:
        for track_id in sorted(ids):
            _write(self._held.pop(track_id), self._folder / f"{track_id}.jpg")

    def __enter__(self) -> CropSink:
        return self

    def __exit__(self, *_: object) -> None:
        self._save(set(self._held))


def _made(folder: Path, content: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"expected a folder for {content}, but {folder} is none: {error.strerror}") from None
    return folder


def _write(image: UInt8Array, path: Path) -> None:
    """Write `image`, uint8 (H, W, 3) RGB, in the format of the ending of `path`; raises OutputError."""
    encoded = cv2.imencode(path.suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    try:
        with replacing(path) as partial:
            partial.write_bytes(encoded.tobytes())
    except OSError as error:
        raise OutputError(f"expected to write {path}, but {(error.strerror or str(error)).lower()}") from error
