"""A published detector that finds the objects missing from labels: YOLOX (arXiv 2107.08430) as ONNX."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from streamdet.boxes import nms
from streamdet.letterbox import PADDING
from streamdet.types import Float32Array, UInt8Array

_SIZE_PX = 416
_STRIDES_PX = (8, 16, 32)
_NMS_IOU = 0.6

# The classes of COCO that the embedded model knows, in its order.
_COCO_IDS = (0, 1, 2, 3, 5, 7)


class Teacher:
    """Finds boxes f32 (N, 6) in an image uint8 (H, W, 3) RGB: xyxy in px, score, class id of the embedded model."""

    def __init__(self, model: Path, lowest_score: float) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        self._session = onnxruntime.InferenceSession(str(model), options)
        self._lowest_score = lowest_score
        self._grid, self._stride = _cells()

    def __call__(self, image: UInt8Array) -> Float32Array:
        """Return the detections with at least the lowest score, best first."""
        scale = _SIZE_PX / max(image.shape[:2])
        height, width = (round(side * scale) for side in image.shape[:2])
        canvas = np.full((_SIZE_PX, _SIZE_PX, 3), PADDING, np.float32)
        canvas[:height, :width] = cv2.resize(image, (width, height))
        # The network expects BGR in 0 .. 255, with the image in the upper left corner.
        pixels = np.ascontiguousarray(canvas[None, :, :, ::-1].transpose(0, 3, 1, 2))
        (rows,) = self._session.run(None, {self._session.get_inputs()[0].name: pixels})
        found = self._boxes(rows[0])
        found[:, :4] /= scale
        return found

    def _boxes(self, rows: Float32Array) -> Float32Array:
        """Return the detections among the network's output `rows` (cells, 85), in px of its input."""
        # center = (offset + cell) stride,  size = exp(s) stride
        center = (rows[:, :2] + self._grid) * self._stride
        half = np.exp(rows[:, 2:4]) * self._stride / 2
        scores = rows[:, 4:5] * rows[:, [5 + coco_id for coco_id in _COCO_IDS]]
        best = scores.argmax(1)
        score = scores[np.arange(len(rows)), best]
        # Leave out boxes whose best class is another one of COCO, such as a train.
        ours = (score >= self._lowest_score) & (score >= 0.999 * rows[:, 4] * rows[:, 5:].max(1))
        found = np.column_stack((center - half, center + half, score, best))[ours].astype(np.float32)
        found = found[np.argsort(-found[:, 4])]
        kept: Float32Array = found[nms(found[:, :4], None, _NMS_IOU)]
        return kept


def _cells() -> tuple[Float32Array, Float32Array]:
    """Return the column and row (cells, 2) and the stride (cells, 1) in px of every output cell."""
    grids, strides = [], []
    for stride in _STRIDES_PX:
        side = _SIZE_PX // stride
        y, x = np.mgrid[:side, :side]
        grids.append(np.column_stack((x.ravel(), y.ravel())))
        strides.append(np.full((side * side, 1), stride))
    return np.concatenate(grids).astype(np.float32), np.concatenate(strides).astype(np.float32)
