"""How far bf16 moves what a network gives: one that rounds after every layer, beside the same one in fp32."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from streamdet.inference.graph import RowsNetwork
from streamdet.letterbox import Letterbox, letterboxed
from streamdet.models.weights import load_model
from streamdet.types import Float32Array, UInt8Array
from tests.detect.pictures import NAMES, picture

# As docs/architecture.md says, in px of the model's input: of any row, and of the median one. Found in thirty orders of
# summation: at most 0.85 and 0.10; 0.14 and 0.006.
MOST_PX, MOST_SCORE = 1.5, 0.15
MIDDLE_PX, MIDDLE_SCORE = 0.3, 0.01
# Rows of this score in one of the two are compared: those below become no detection.
SURE = 0.25

Rows = Callable[[UInt8Array, torch.dtype], Float32Array]


@pytest.fixture(scope="module")
def rows(weights: Path) -> Rows:
    """Returns the rows f32 (A, 6) of an image, by a network that computes in a type."""
    network = cache(lambda dtype: RowsNetwork(load_model(weights), dtype))

    def computed(image: UInt8Array, dtype: torch.dtype) -> Float32Array:
        letterbox = Letterbox.fit(image.shape[:2], 640, 32)
        canvas = letterboxed(image, letterbox)
        with torch.inference_mode():
            found: Float32Array = network(dtype)(torch.from_numpy(canvas[None]))[0].numpy()
        return found

    return computed


def test_bf16_moves_boxes_and_scores_little(data: Path, rows: Rows) -> None:
    """Row by row, before suppression: of two people who overlap by just its limit, rounding decides which is kept."""
    pairs = [[rows(picture(data, name), dtype) for dtype in (torch.float32, torch.bfloat16)] for name in NAMES]
    exact, rounded = (np.concatenate(each) for each in zip(*pairs, strict=True))
    sure = np.maximum(exact[:, 4], rounded[:, 4]) >= SURE
    exact, rounded = exact[sure], rounded[sure]
    assert len(exact) > 200
    px, scores = np.abs(exact[:, :4] - rounded[:, :4]).max(1), np.abs(exact[:, 4] - rounded[:, 4])
    assert px.max() < MOST_PX and np.median(px) < MIDDLE_PX
    assert scores.max() < MOST_SCORE and np.median(scores) < MIDDLE_SCORE
    # Where two classes score nearly the same, either may be the better one.
    assert (exact[:, 5] == rounded[:, 5]).mean() > 0.97
    assert scores.max() > 1e-3  # or it was not bf16: it keeps 8 bits
