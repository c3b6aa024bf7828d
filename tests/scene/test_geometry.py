"""Poses, paths and who stands before whom, each against what must hold for bodies in space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.scene.actors import may_hide, paint_order
from streamdet.scene.motion import STEP_S, standing, steps, through, wander
from streamdet.scene.pose import Pose, ride, sit, stand, walk

ARMS = st.sampled_from(["down", "phone", "pockets", "folded"])
POSES = st.one_of(
    st.builds(stand, ARMS, st.floats(-1, 1)),
    st.builds(walk, st.floats(0, 1), st.floats(0.6, 2.2), ARMS),
    st.just(sit(0.45)),
    st.builds(lambda turn: ride(0.92, (0.55, 0.22, 1.08), (0.2, 0.28), turn), st.floats(0, 7)),
)


@given(pose=POSES)
def test_bones_keep_their_lengths(pose: Pose) -> None:
    for upper, lower, lengths in (
        ((pose.hips, pose.knees), (pose.knees, pose.ankles), (0.43, 0.42)),
        ((pose.shoulders, pose.elbows), (pose.elbows, pose.hands), (0.29, 0.25)),
    ):
        for (start, end), length in zip((upper, lower), lengths, strict=True):
            np.testing.assert_allclose(np.linalg.norm(end - start, axis=1), length, atol=0.002)


@given(phase=st.floats(0, 1), stride=st.floats(0.6, 2.0))
def test_feet_stay_above_the_ground_and_knees_bend_forward(phase: float, stride: float) -> None:
    pose = walk(phase, stride, "down")
    assert pose.ankles[:, 2].min() > 0.05
    between = pose.hips + (pose.ankles - pose.hips) * 0.5
    assert (pose.knees[:, 0] >= between[:, 0] - 0.02).all()


def test_the_standing_foot_hardly_slides() -> None:
    """While a foot carries, the body moves ahead of it: in the world it stays within 8 cm over half a metre."""
    phases, stride = np.linspace(0.05, 0.5, 20), 1.4
    in_world = [walk(phase, stride, "down").ankles[0, 0] + phase * stride for phase in phases]
    assert (phases[-1] - phases[0]) * stride > 0.6
    assert np.ptp(in_world) < 0.16


def test_the_second_step_mirrors_the_first() -> None:
    first, second = walk(0.2, 1.4, "down"), walk(0.7, 1.4, "down")
    np.testing.assert_allclose(first.ankles[0], second.ankles[1] * (1, -1, 1), atol=1e-9)
    np.testing.assert_allclose(first.hands[1], second.hands[0] * (1, -1, 1), atol=1e-9)


@given(seed=st.integers(0, 999), time_s=st.floats(0, 10), speed=st.floats(0.3, 4))
def test_a_walker_passes_where_and_when_it_must(seed: int, time_s: float, speed: float) -> None:
    headings, speeds = wander(np.random.default_rng(seed), 1.0, speed, steps(10), 0.5)
    path = through((3.0, -2.0), time_s, headings, speeds)
    # Known to a step of a tenth of a second.
    assert np.linalg.norm(path.at(time_s).origin[:2] - (3, -2)) <= speed * 1.05 * STEP_S
    assert np.linalg.norm(np.diff(path.places, axis=0), axis=1).max() <= speed * 1.06 * STEP_S


def test_a_straight_path_is_interpolated() -> None:
    path = through((0.0, 0.0), 0.0, np.full(steps(2), np.pi / 2), np.full(steps(2), 2.0))
    moment = path.at(1.05)
    np.testing.assert_allclose(moment.origin, [0, 2.1, 0], atol=1e-9)
    np.testing.assert_allclose(moment.in_world(np.array([[1.0, 0.5, 2.0]])), [[-0.5, 3.1, 2.0]], atol=1e-9)
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


BUS = [0.0, 10.0, 12.0, 12.5]


@pytest.mark.parametrize(
    ("person", "bus_hides", "person_hides"),
    [
        ([6, 14, 6.5, 14.5], True, False),  # behind the bus
        ([6, 8, 6.5, 8.5], False, True),  # before it
        ([11, 9, 11.5, 9.5], False, True),  # before its far end, though farther away than its near end
        ([-3, 11, -2.5, 11.5], False, True),  # beside it, on the side of the camera
    ],
)
def test_a_long_vehicle_hides_by_sides_not_by_distance(
    person: list[float], bus_hides: bool, person_hides: bool
) -> None:
    eye, both = np.array([-5.0, 0.0]), np.array([BUS, person], float)
    hides = may_hide(eye, both, both)
    assert (hides[0, 1], hides[1, 0]) == (bus_hides, person_hides)
    assert list(paint_order(eye, both, np.array([11.0, 12.0]))) == [0, 1] if person_hides else [1, 0]


@given(
    place=st.tuples(st.floats(-20, 20), st.floats(5, 40)),
    share=st.floats(0.2, 0.8),
    sizes=st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)),
)
def test_the_nearer_on_one_line_of_sight_is_painted_later(
    place: tuple[float, float], share: float, sizes: tuple[float, float]
) -> None:
    """Both lie on one ray from the eye, far enough apart not to touch."""
    far = np.array(place)
    near = far * share
    rectangles = np.array([[*(p - s), *(p + s)] for p, s in ((far, sizes[0]), (near, sizes[1]))])
    apart = (rectangles[1, :2] >= rectangles[0, 2:]) | (rectangles[1, 2:] <= rectangles[0, :2])
    if apart.any():
        assert list(paint_order(np.zeros(2), rectangles, np.array([0.0, 1.0]))) == [0, 1]
