"""NMS equals the greedy loop that defines it."""

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.boxes import box_iou, nms
from streamdet.types import Float32Array


def greedy(boxes: Float32Array, class_ids: npt.NDArray[np.int64] | None, threshold: float) -> list[bool]:
    """The textbook loop: walk down the scores, keep what no kept box overlaps."""
    iou = box_iou(boxes, boxes)
    kept: list[int] = []
    for row in range(len(boxes)):
        rivals = [k for k in kept if class_ids is None or class_ids[k] == class_ids[row]]
        if all(iou[k, row] <= threshold for k in rivals):
            kept.append(row)
    return [row in kept for row in range(len(boxes))]


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 80),
    spread=st.sampled_from([5.0, 40.0, 400.0]),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
    agnostic=st.booleans(),
    block=st.sampled_from([1, 7, 32, 256]),
)
def test_equals_the_greedy_loop(
    seed: int, count: int, spread: float, threshold: float, agnostic: bool, block: int
) -> None:
    random = np.random.default_rng(seed)
    corners = random.uniform(0, spread, (count, 2))
    boxes = np.hstack([corners, corners + random.uniform(1, 40, (count, 2))]).astype(np.float32)
    class_ids = None if agnostic else random.integers(0, 3, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamdet.boxes.BLOCK", block)
        assert nms(boxes, class_ids, threshold).tolist() == greedy(boxes, class_ids, threshold)


def test_a_chain_keeps_every_other_box() -> None:
    # Each box overlaps only its neighbours: removing the second must bring the third back.
    boxes = np.array([[6 * i, 0, 6 * i + 10, 10] for i in range(9)], np.float32)
    assert nms(boxes, None, 0.2).tolist() == [True, False] * 4 + [True]


COUNT = 20_000


@pytest.mark.parametrize(
    ("step_px", "threshold", "kept"),
    [(0, 0.5, slice(1)), (6, 0.2, slice(None, None, 2)), (60, 0.2, slice(None)), (0.001, 1.0, slice(None))],
    ids=["equal", "chain", "apart", "all pairs overlap"],
)
def test_twenty_thousand_boxes_take_little_memory(step_px: float, threshold: float, kept: slice) -> None:
    left = step_px * np.arange(COUNT)
    boxes = np.stack([left, np.zeros(COUNT), left + 10, np.full(COUNT, 10)], axis=1).astype(np.float32)
    tracemalloc.start()
    keep = nms(boxes, None, threshold)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    expected = np.zeros(COUNT, bool)
    expected[kept] = True
    np.testing.assert_array_equal(keep, expected)
    assert peak_bytes < 32 * 2**20  # all pairs would take 400 MB and more


def test_iou_of_known_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]], np.float32)
    expected = [[1, 1 / 3, 0, 0], [1 / 3, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(box_iou(boxes, boxes), np.array(expected), rtol=1e-6)
