"""Data sets of small pictures, written for a test."""

from pathlib import Path

import cv2
import numpy as np

from streamdet.types import UInt8Array


def noise(seed: int, height: int = 48, width: int = 64) -> UInt8Array:
    """A picture that no other seed gives."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def write_image(path: Path, image: UInt8Array) -> Path:
    """Write `image`, RGB, in the format that the name of `path` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert written
    path.write_bytes(encoded.tobytes())
    return path


def write_labels(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def write_set(folder: Path, labels: dict[str, str | None]) -> None:
    """Write an image under each name, such as train/a.png, with the text of its label file; None: no such file."""
    for seed, (name, text) in enumerate(labels.items()):
        image = write_image(folder / "images" / name, noise(seed))
        if text is not None:
            write_labels((folder / "labels" / name).with_suffix(".txt"), text)
        assert image.exists()
