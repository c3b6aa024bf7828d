"""Draws what the embedded model finds in streets that it did not learn: ``python -m scripts.embedded.pictures``.

Hits are green, misses red, and detections without an object yellow, at the default settings of a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from scripts.embedded.scenes import LEAST_VISIBLE
from streamdet.boxes import box_iou
from streamdet.detect.detector import Detector
from streamdet.scene.scene import Scene, SceneOptions
from streamdet.types import Float32Array, UInt8Array

OUT = Path(__file__).resolve().parents[2] / "docs" / "embedded-hits.jpg"
_SEEDS = (1, 2, 3)  # below those of the training
_LIGHTS = (("day", "clear"), ("night", "rain"))
_SIZE = (640, 360)
_IOU = 0.5
_HIT, _MISSED, _FALSE = (60, 200, 60), (230, 50, 50), (240, 220, 40)


def main() -> None:
    """Write the picture into the documentation."""
    detector = Detector(device="cpu")
    shown = [_picture(detector, seed, light) for light, seed in product(_LIGHTS, _SEEDS)]
    rows = [np.hstack(shown[first : first + len(_SEEDS)]) for first in range(0, len(shown), len(_SEEDS))]
    cv2.imwrite(str(OUT), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])


def _picture(detector: Detector, seed: int, light: tuple[str, str]) -> UInt8Array:
    """Return one frame with its marks, uint8 (H, W, 3) RGB."""
    time, weather = light
    options = SceneOptions(seed=seed, seconds=Fraction(10), size=_SIZE, time=time, weather=weather, crowd="many")
    image, truth = Scene(options).render(100)
    found = detector(image)
    seen = truth.visible >= LEAST_VISIBLE
    same = truth.class_ids[:, None] == found.class_ids[None]
    hits = (box_iou(truth.boxes, found.boxes) >= _IOU) & same
    marks = (
        (truth.boxes[seen & ~hits.any(1)], _MISSED),
        (found.boxes[~hits.any(0)], _FALSE),
        (found.boxes[hits.any(0)], _HIT),
    )
    canvas = image.copy()
    for boxes, color in marks:
        for x0, y0, x1, y1 in _corners(boxes):
            cv2.rectangle(canvas, (x0, y0), (x1, y1), color, 1, cv2.LINE_AA)
    return canvas


def _corners(boxes: Float32Array) -> Iterator[tuple[int, int, int, int]]:
    for x0, y0, x1, y1 in boxes.round().astype(int):
        yield int(x0), int(y0), int(x1), int(y1)


if __name__ == "__main__":
    main()
