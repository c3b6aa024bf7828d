"""Paths through time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.scene.paths import STEP_S, standing, steps, through, wander


@given(seed=st.integers(0, 999), time_s=st.floats(0, 10), speed=st.floats(0.3, 4))
def test_a_walker_passes_where_and_when_it_must(seed: int, time_s: float, speed: float) -> None:
    headings, speeds = wander(np.random.default_rng(seed), 1.0, speed, steps(10), 0.5)
    path = through((3.0, -2.0), time_s, headings, speeds)
    # Known to a step of a tenth of a second.
    assert np.linalg.norm(path.at(time_s).origin[:2] - (3, -2)) <= speed * 1.05 * STEP_S
    assert np.linalg.norm(np.diff(path.places, axis=0), axis=1).max() <= speed * 1.06 * STEP_S


def test_a_straight_path_is_interpolated() -> None:
    path = through((0.0, 0.0), 0.0, np.full(steps(2), np.pi / 2), np.full(steps(2), 2.0))
    placement = path.at(1.05)
    np.testing.assert_allclose(placement.origin, [0, 2.1, 0], atol=1e-9)
    np.testing.assert_allclose(placement.in_world(np.array([[1.0, 0.5, 2.0]])), [[-0.5, 3.1, 2.0]], atol=1e-9)
    assert path.at(1.05).covered_m - path.at(0.55).covered_m == pytest.approx(1.0)


def test_who_keeps_to_the_left_stays_there() -> None:
    path = standing((5.0, 5.0), 0.0, 3).shifted(along=1.0, aside=2.0)
    np.testing.assert_allclose(path.places, [[6, 7]] * 3)


@given(seed=st.integers(0, 99), low=st.floats(-9, -1), high=st.floats(1, 9))
def test_walkers_turn_back_at_walls(seed: int, low: float, high: float) -> None:
    headings, speeds = wander(np.random.default_rng(seed), 1.2, 2.0, steps(60), 0.3)
    free = through((0.0, 0.0), 30.0, headings, speeds)
    for walls in ((low, high), (low, np.inf), (-np.inf, high)):
        path = free.within(*walls)
        assert path.places[:, 1].min() >= walls[0] - 1e-9 and path.places[:, 1].max() <= walls[1] + 1e-9
        assert np.linalg.norm(np.diff(path.places, axis=0), axis=1).max() <= 2.0 * 1.06 * STEP_S
        np.testing.assert_allclose(path.at(30.0).origin, free.at(30.0).origin, atol=1e-9)
        # Away from the walls people look where they go.
        moves = np.diff(path.places, axis=0)
        ahead = moves[:, 0] * np.cos(path.headings[1:]) + moves[:, 1] * np.sin(path.headings[1:])
        inside = (path.places[1:, 1] > walls[0] + 0.3) & (path.places[1:, 1] < walls[1] - 0.3)
        assert (ahead[inside] >= -1e-9).all()


def test_without_walls_nobody_turns() -> None:
    path = through((0.0, 0.0), 0.0, np.full(5, 1.0), np.ones(5))
    np.testing.assert_array_equal(path.within(-np.inf, np.inf).places, path.places)
