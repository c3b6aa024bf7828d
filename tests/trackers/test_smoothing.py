"""The smoother against the most likely path, computed without recursion."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from tests.trackers.walks import RATE_HZ
from trackers.smoothing import (
    FIRST_TO_WANDER,
    MEASUREMENT_STD,
    WALKERS_WANDER,
    Sightings,
    learned_wander,
    motion_noise,
    size,
    smooth,
    trajectory,
    transition,
)
from trackers.types import FloatArray


def most_likely(seen: Sightings, wander: float) -> FloatArray:
    """Return the states (T, 6) that minimise the sum of squared deviations, each in its standard deviations."""
    times = np.arange(seen.frames[0], seen.frames[-1] + 1)
    step = np.array([1 / RATE_HZ])
    forward = transition(step)[0]
    sizes = np.interp(times, seen.frames, size(seen.boxes))
    spread = np.diag([1.0] * 4 + [(FIRST_TO_WANDER * wander) ** 2] * 2) * sizes[0] ** 2
    first = forward @ np.append(seen.boxes[0], [0, 0])
    blocks: list[tuple[FloatArray, FloatArray, FloatArray]] = []  # A x = b with covariance S
    width = 6 * len(times)
    for k in range(len(times)):
        noise = motion_noise(sizes[k : k + 1], step, wander)[0]
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
    wander = random.uniform(0.1, 3)
    path = smooth(seen, RATE_HZ, wander)
    assert (path.first, path.last) == (frames[0], frames[-1])
    assert_allclose(path.means, most_likely(seen, wander), rtol=1e-6, atol=1e-6)


def wandering(wander: float, frames: int, seed: int) -> tuple[Sightings, FloatArray]:
    """Return detections of an object of 50 px whose speed and size are random walks, and its boxes."""
    random, step_s, side = np.random.default_rng(seed), 1 / RATE_HZ, 50.0
    speed = np.cumsum(random.normal(0, wander * step_s**0.5, (frames, 2)), axis=0)
    grown = np.cumsum(random.normal(0, 0.1 * step_s**0.5, (frames, 2)), axis=0)
    boxes: FloatArray = side * np.hstack([np.cumsum(speed * step_s, axis=0), np.exp(grown)])
    noisy = boxes + random.normal(0, MEASUREMENT_STD * np.sqrt(boxes[:, 2:].prod(axis=1, keepdims=True)), boxes.shape)
    return Sightings(np.arange(frames) + 1, noisy, np.ones(frames)), boxes


def test_how_abruptly_objects_move_is_learned() -> None:
    scene = [wandering(2.0, 40, seed)[0] for seed in range(60)]
    assert_allclose(learned_wander(scene, RATE_HZ), 2.0, rtol=0.2)


def test_steady_objects_move_like_walkers_and_so_do_few() -> None:
    assert learned_wander([wandering(0.05, 200, 0)[0]], RATE_HZ) == WALKERS_WANDER
    assert learned_wander([wandering(3.0, 20, 0)[0]], RATE_HZ) == WALKERS_WANDER


def test_one_that_turns_sharply_among_walkers_is_followed() -> None:
    """With the noise of walkers it is almost twice as far from the truth."""
    off = {"walker": 0.0, "learned": 0.0}
    for seed in range(10):
        seen, truth = wandering(4.0, 120, seed)
        for name, path in (
            ("walker", smooth(seen, RATE_HZ, WALKERS_WANDER)),
            ("learned", trajectory(seen, RATE_HZ, WALKERS_WANDER)),
        ):
            off[name] += float(np.abs(path.means[:, :2] - truth[:, :2]).mean())
    assert off["learned"] < 0.6 * off["walker"]
