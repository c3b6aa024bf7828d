"""How far bf16 moves what is detected: a network that rounds after every layer, beside the same one in fp32."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from streamdet.detect.tasks import TASKS
from streamdet.inference.graph import RowsNetwork
from streamdet.letterbox import Letterbox, letterbox_into, new_canvas
from streamdet.model.weights import load_model
from streamdet.nms import Selection, box_iou
from streamdet.types import Detections, Float32Array, UInt8Array
from tests.detect.pictures import NAMES, picture

# As docs/architecture.md says: of any detection, and of the median one. Found: 1.6, 0.084; 0.29, 0.0043.
MOST_PX, MOST_SCORE = 3.0, 0.12
MIDDLE_PX, MIDDLE_SCORE = 0.5, 0.01
# What one finds from SURE on, the other finds from LOWEST on: a score on the limit is not lost.
SURE, LOWEST = 0.25, 0.15

Detect = Callable[[UInt8Array, torch.dtype], Detections]


@pytest.fixture(scope="module")
def detect(weights: Path) -> Detect:
    """Detects in an image with a network that computes in a type."""
    network = cache(lambda dtype: RowsNetwork(load_model(weights), dtype))

    def detections(image: UInt8Array, dtype: torch.dtype) -> Detections:
        letterbox = Letterbox.fit(image.shape[:2], 640, 32)
        canvas = new_canvas(letterbox)
        letterbox_into(canvas, image, letterbox)
        with torch.inference_mode():
            rows = network(dtype)(torch.from_numpy(canvas[None]))[0].numpy()
        task = TASKS["detect"]
        return task.detections(task.kept(rows, Selection(LOWEST)), letterbox, image.shape[:2])

    return detections


def apart(some: Detections, others: Detections) -> tuple[Float32Array, Float32Array]:
    """Return px and score between those of `some` that are sure and their like in `others`, which must be there."""
    sure = np.flatnonzero(some.scores >= SURE)
    overlaps = box_iou(np.concatenate([some.boxes[sure], others.boxes]))[: len(sure), len(sure) :]
    overlaps[some.class_ids[sure, None] != others.class_ids] = 0
    like = overlaps.argmax(1)
    assert overlaps.max(1).min() > 0.9
    px = np.abs(some.boxes[sure] - others.boxes[like]).max(1)
    return px, np.abs(some.scores[sure] - others.scores[like])


def test_bf16_finds_the_same_objects_and_moves_them_little(data: Path, detect: Detect) -> None:
    pairs = [[detect(picture(data, name), dtype) for dtype in (torch.float32, torch.bfloat16)] for name in NAMES]
    moved = [apart(*pair) for exact, rounded in pairs for pair in ((exact, rounded), (rounded, exact))]
    px, scores = (np.concatenate(each) for each in zip(*moved, strict=True))
    assert len(px) > 60
    assert px.max() < MOST_PX and np.median(px) < MIDDLE_PX
    assert scores.max() < MOST_SCORE and np.median(scores) < MIDDLE_SCORE
    assert scores.max() > 1e-3  # or it was not bf16: it keeps 8 bits
