"""A published detector that finds the objects missing from labels: any model of COCO's classes, such as YOLOX-nano."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamdet.detect.detector import Detector
from streamdet.scene.truth import CLASS_NAMES
from streamdet.types import Float32Array, UInt8Array

_NMS_IOU = 0.6


class Teacher:
    """Finds boxes f32 (N, 6) in an image uint8 (H, W, 3) RGB: xyxy in px, score, class id of the embedded model."""

    def __init__(self, model: Path, lowest_score: float) -> None:
        self._detector = Detector(
            model, device="cpu", backend="onnx", conf=lowest_score, iou=_NMS_IOU, classes=CLASS_NAMES, agnostic=True
        )

    def __call__(self, image: UInt8Array) -> Float32Array:
        """Return the detections with at least the lowest score, best first."""
        found = self._detector(image)
        class_ids = [CLASS_NAMES.index(each.class_name) for each in found]
        return np.column_stack([found.boxes, found.scores, np.array(class_ids, np.float32)]).astype(np.float32)
