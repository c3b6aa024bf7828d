"""What is learned of a scene, against known answers."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from trackers.scene import MOST_AGILE, SceneMotion, Sightings, common_shift, medians
from trackers.types import FloatArray


def sightings(
    shifts: FloatArray, variance: float = 1.0, speeds: FloatArray | None = None, growth: float = 0.0
) -> Sightings:
    """Tracks that are seen `shifts` (N, 2) away, and higher by `growth`, in px."""
    speeds = np.zeros_like(shifts) if speeds is None else speeds
    shifts = np.column_stack([shifts, np.full(len(shifts), growth)])
    return Sightings(np.hstack([shifts, np.full_like(shifts, variance), speeds]).T)


def observed(squared: float, frames: int, scene: SceneMotion | None = None) -> SceneMotion:
    scene = scene or SceneMotion()
    for _ in range(frames):
        scene.observe(sightings(np.full((12, 2), squared**0.5)))
    return scene


def test_the_noise_grows_while_innovations_surprise_and_shrinks_after() -> None:
    scene = observed(2.0, 20)
    assert scene.logarithm == MOST_AGILE
    assert math.isclose(scene.agility, 64)
    assert math.isclose(scene.steadiness, 1 / 8)
    assert observed(0.0, 100, scene).agility == 1


def test_one_frame_of_wild_innovations_is_no_scene_of_its_own() -> None:
    """As at a cut: at most 1.7 in the logarithm, which is forgotten within 30 usual frames."""
    scene = observed(1e12, 1)
    assert 1.7 < scene.logarithm < 1.8
    assert observed(0.05, 30, scene).logarithm == 0


def test_few_tracks_say_less() -> None:
    one, many = SceneMotion(), SceneMotion()
    one.observe(sightings(np.full((1, 2), 1.5)))
    many.observe(sightings(np.full((100, 2), 1.5)))
    assert_allclose(many.logarithm, 10 * one.logarithm)
    many.observe(sightings(np.zeros((0, 2))))
    assert_allclose(many.logarithm, 10 * one.logarithm)


def test_depth_says_the_less_the_more_heights_surprise() -> None:
    """The factor of its variance ends at the mean of the two surprises, 0 and 4, over the expected 0.25."""
    scene = SceneMotion()
    for _ in range(600):
        scene.observe(sightings(np.zeros((12, 2)), growth=2.0))
    assert_allclose(scene.depth_steadiness, 0.25 / 2, rtol=1e-4)
    assert scene.agility == 1  # which heights do not show
    for _ in range(200):
        scene.observe(sightings(np.zeros((12, 2)), growth=0.5))
    assert scene.depth_steadiness == 1


def test_one_frame_of_wild_heights_is_no_scene_of_its_own() -> None:
    scene = SceneMotion()
    scene.observe(sightings(np.zeros((12, 2)), growth=1e6))
    assert 0.6 < scene.depth_steadiness < 0.7


def test_the_drift_is_the_velocity_in_common() -> None:
    scene = SceneMotion()
    speeds = np.array([[3.0, 0], [3, 1], [3, -1], [90, 0], [2, 0], [3, 0], [4, 0]])
    scene.observe(sightings(np.zeros((7, 2)), speeds=speeds))
    assert_array_equal(scene.drift, [3, 0])
    scene.observe(sightings(np.zeros((6, 2)), speeds=np.full((6, 2), 3.0)))
    assert_array_equal(scene.drift, [0, 0])


def test_what_all_are_shifted_by_is_believed_but_for_its_uncertainty() -> None:
    shifts = np.array([[20.0, 0], [21, 0], [19, 0], [20, 0], [20, 0], [22, 0], [300, 0]])
    assert_allclose(common_shift(sightings(shifts, 4.0)), [20, 0], atol=0.3)
    # 20^3 / (20^2 + 3 * pi / 2 * (400 + 1.4826^2) / 7)
    assert_allclose(common_shift(sightings(shifts, 400.0)), [11.9, 0], atol=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_objects_that_move_each_by_itself_have_little_in_common(seed: int) -> None:
    shifts = np.random.default_rng(seed).normal(0, 10, (10, 2))
    assert max(map(abs, common_shift(sightings(shifts, 100.0)))) < 2.5


def test_few_have_nothing_in_common() -> None:
    assert_array_equal(common_shift(sightings(np.full((6, 2), 20.0), 1e-3)), [0, 0])


def test_what_was_learned_after_a_shift_does_not_count_it_again() -> None:
    """Twelve tracks 30 px off, all by the camera: once moved there they are no surprise."""
    moved, unmoved = SceneMotion(), SceneMotion()
    seen = sightings(np.tile([30.0, -10.0], (12, 1)), 1.0)
    moved.observe(seen, (30.0, -10.0))
    unmoved.observe(seen)
    assert (moved.logarithm, unmoved.logarithm > 1.7) == (0, True)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_median_is_that_of_numpy(count: int) -> None:
    values: FloatArray = np.random.default_rng(count).normal(size=(count, 3))
    assert_allclose(medians(values.T), np.median(values, axis=0))
