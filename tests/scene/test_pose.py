"""Poses against the limits of a human body."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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
