"""The fitted similarity against pairs of points that follow a known one, most of them or not."""

import numpy as np
import pytest

from streamdet.camera_motion.similarity import MIN_PAIRS, fit_similarity
from streamdet.types import Float32Array

MOTION = np.array([[1.02, -0.03, 7.5], [0.03, 1.02, -4.25]])


def pairs(count: int, strays: int) -> tuple[Float32Array, Float32Array]:
    """Return `count` pairs that follow MOTION and then `strays` that follow nothing."""
    random = np.random.default_rng(0)
    before = random.uniform(0, 400, (count + strays, 2))
    after = np.where(np.arange(count + strays)[:, None] < count, before @ MOTION[:, :2].T + MOTION[:, 2], before[::-1])
    return before.astype(np.float32), (after + random.normal(0, 0.05, after.shape)).astype(np.float32)


@pytest.mark.parametrize(("count", "strays"), [(MIN_PAIRS, 0), (60, 40), (60, 110)])
def test_strays_do_no_harm(count: int, strays: int) -> None:
    motion = fit_similarity(*pairs(count, strays), tolerance_px=1.0)
    assert motion is not None
    np.testing.assert_allclose(motion @ [200, 200, 1], MOTION @ [200, 200, 1], atol=0.1)
    np.testing.assert_allclose(motion[:, :2], MOTION[:, :2], atol=2e-3)


@pytest.mark.parametrize(("count", "strays"), [(0, 0), (MIN_PAIRS - 1, 0), (MIN_PAIRS - 4, 30), (30, 170)])
def test_too_few_that_move_together_are_no_background(count: int, strays: int) -> None:
    assert fit_similarity(*pairs(count, strays), tolerance_px=1.0) is None
