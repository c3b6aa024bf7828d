"""A detector that was trained on photographs alone recognises rendered people."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from streamdet.detect.detector import Detector
from streamdet.scene.scene import Scene, parse_scene_url
from streamdet.types import Float32Array, Frame
from tests.exact import EXACT


def test_people_are_recognised(weights: Path) -> None:
    """Of those in clear view, 60 px high or more, YOLOv8n (COCO) finds most; it found 94 % of 77."""
    asked = found = 0
    detector = Detector(weights, classes=["person"], conf=0.25, **EXACT)
    for seed in range(100, 106):
        image, truth = Scene(parse_scene_url(f"scene://street?seed={seed}")).render(40)
        (_, detections), *_ = detector.stream([Frame(0, 0, Fraction(1), image, "scene", 0.0)])
        high = truth.boxes[:, 3] - truth.boxes[:, 1] >= 60
        wanted = truth.boxes[high & truth.clear & (truth.visible > 0.6) & (truth.class_ids == 0)]
        asked += len(wanted)
        found += sum(bool((overlap(box, detections.boxes) > 0.5).any()) for box in wanted)
    assert asked >= 15 and found >= 0.75 * asked


def overlap(box: Float32Array, boxes: Float32Array) -> Float32Array:
    sides = (np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])).clip(0)
    both = sides.prod(axis=1)
    iou: Float32Array = both / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - both)
    return iou
