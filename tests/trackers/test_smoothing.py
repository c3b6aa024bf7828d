"""The smoother against the most likely path, computed without recursion."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from tests.trackers.walks import RATE_HZ
from trackers.smoothing import FIRST_SPEED_STD, MEASUREMENT_STD, Sightings, motion_noise, size, smooth, transition
from trackers.types import FloatArray


def most_likely(seen: Sightings) -> FloatArray:
    """Return the states (T, 6) that minimise the sum of squared deviations, each in its standard deviations."""
    times = np.arange(seen.frames[0], seen.frames[-1] + 1)
    step = np.array([1 / RATE_HZ])
    forward = transition(step)[0]
    sizes = np.interp(times, seen.frames, size(seen.boxes))
    spread = np.diag([1.0] * 4 + [FIRST_SPEED_STD**2] * 2) * sizes[0] ** 2
    first = forward @ np.append(seen.boxes[0], [0, 0])
    blocks: list[tuple[FloatArray, FloatArray, FloatArray]] = []  # A x = b with covariance S
    width = 6 * len(times)
    for k in range(len(times)):
        noise = motion_noise(sizes[k : k + 1], step)[0]
        state = np.eye(6, width, 6 * k)
        if k:
            blocks.append((state - forward @ np.eye(6, width, 6 * (k - 1)), np.zeros(6), noise))
        else:
            blocks.append((state, first, forward @ spread @ forward.T + noise))
    for frame, box, score in zip(seen.frames, seen.boxes, seen.scores, strict=True):
        deviation = MEASUREMENT_STD * np.sqrt(box[2] * box[3]) / score
        blocks.append((np.eye(4, width, 6 * (frame - times[0])), box, np.eye(4) * deviation**2))
    whiten = [np.linalg.inv(np.linalg.cholesky(covariance)) for _, _, covariance in blocks]
    rows = np.vstack([root @ block[0] for root, block in zip(whiten, blocks, strict=True)])
    values = np.concatenate([root @ block[1] for root, block in zip(whiten, blocks, strict=True)])
    solution: FloatArray = np.linalg.lstsq(rows, values)[0].reshape(-1, 6)
    return solution


@given(st.integers(0, 2**32 - 1))
def test_the_smoother_is_the_most_likely_path(seed: int) -> None:
    """Against one dense least-squares problem over all states: what the model says, without any recursion."""
    random = np.random.default_rng(seed)
    frames = np.flatnonzero(random.random(8) < 0.7) + 3
    frames = frames if len(frames) else np.array([3])
    boxes = np.column_stack([random.normal(200, 30, (len(frames), 2)), random.uniform(20, 80, (len(frames), 2))])
    seen = Sightings(frames, boxes, random.uniform(0.3, 1, len(frames)))
    path = smooth(seen, RATE_HZ)
    assert (path.first, path.last) == (frames[0], frames[-1])
    assert_allclose(path.means, most_likely(seen), rtol=1e-6, atol=1e-6)
