"""The batched filter against filterpy's, which handles one track at a time."""

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter as OneTrackFilter
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from trackers.kalman import AspectHeightFilter, KalmanFilter, WidthHeightFilter
from trackers.states import COVARIANCE, SPEED_VARIANCE, VARIANCE
from trackers.types import FloatArray

FILTERS = (WidthHeightFilter(), AspectHeightFilter())
H = np.eye(4, 8)


def random_boxes(random: np.random.Generator, count: int) -> FloatArray:
    corner = random.uniform(0, 1000, (count, 2))
    return np.hstack([corner, corner + random.uniform(5, 300, (count, 2))])


def means(states: FloatArray) -> FloatArray:
    """Return the mean (N, 8) of four values and their speeds."""
    return np.hstack([states[:, 0], states[:, 1]])


def covariances(states: FloatArray) -> FloatArray:
    """Return the covariance (N, 8, 8) that `states` stands for."""
    place, cross, speed = (states[:, row, :, None] * np.eye(4) for row in (VARIANCE, COVARIANCE, SPEED_VARIANCE))
    return np.concatenate([np.concatenate([place, cross], 2), np.concatenate([cross, speed], 2)], 1)


def corrected(filter_: KalmanFilter, states: FloatArray, boxes: FloatArray) -> FloatArray:
    return filter_.update(states, filter_.measure(boxes), filter_.innovation(states))


def paper_noise(filter_: KalmanFilter, state: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the variances of motion, velocity and measurement as the papers state them, one track of at least 1 px."""
    size, height = np.maximum(state[2:4], 1)
    if isinstance(filter_, WidthHeightFilter):
        scale = np.array([size, height, size, height])
        return (scale / 20) ** 2, (scale / 160) ** 2, (scale / 20) ** 2
    place, speed = height / 20, height / 160
    squares = ([place, place, 1e-2, place], [speed, speed, 1e-5, speed], [place, place, 1e-1, place])
    position, velocity, measurement = (np.square(row) for row in squares)
    return position, velocity, measurement


def filterpy_step(filter_: KalmanFilter, one: OneTrackFilter, periods: int, measured: FloatArray) -> None:
    """Predict period by period with the noise of the size at the start, then correct."""
    position, velocity, _ = paper_noise(filter_, one.x)
    one.F, one.Q = np.eye(8) + np.eye(8, k=4), np.diag(np.hstack([position, velocity]))
    for _ in range(periods):
        one.predict()
    one.update(measured, R=np.diag(paper_noise(filter_, one.x)[2]))


@pytest.mark.parametrize("filter_", FILTERS, ids=lambda f: type(f).__name__)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), steps=st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_equals_filterpy(filter_: KalmanFilter, seed: int, steps: list[int]) -> None:
    random = np.random.default_rng(seed)
    boxes = random_boxes(random, 3)
    states = filter_.initiate(boxes)
    ones = []
    for mean, covariance in zip(means(states), covariances(states), strict=True):
        one = OneTrackFilter(8, 4)
        one.x, one.P, one.H = mean.copy(), covariance.copy(), H
        ones.append(one)
    for periods in steps:
        boxes = boxes + random.normal(0, 1, boxes.shape)
        states = corrected(filter_, filter_.predict(states, float(periods)), boxes)
        for one, measured in zip(ones, filter_.measure(boxes), strict=True):
            filterpy_step(filter_, one, periods, measured)
    assert_allclose(means(states), [one.x for one in ones], rtol=1e-9, atol=1e-9)
    assert_allclose(covariances(states), [one.P for one in ones], rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), elapsed=st.floats(0.1, 10))
def test_predicts_any_time_as_filterpy_does(seed: int, elapsed: float) -> None:
    random = np.random.default_rng(seed)
    filter_, one = WidthHeightFilter(), OneTrackFilter(8, 4)
    states = random.uniform(1, 100, (1, 5, 4))
    states[:, COVARIANCE] = np.sqrt(states[:, VARIANCE] * states[:, SPEED_VARIANCE]) * random.uniform(-1, 1, 4)
    one.x, one.P = means(states)[0], covariances(states)[0]
    position, velocity, _ = paper_noise(filter_, one.x)
    spread = elapsed * position + elapsed * (elapsed - 1) * (2 * elapsed - 1) / 6 * velocity
    cross = elapsed * (elapsed - 1) / 2 * velocity
    one.Q = np.block([[np.diag(spread), np.diag(cross)], [np.diag(cross), np.diag(elapsed * velocity)]])
    one.F = np.block([[np.eye(4), elapsed * np.eye(4)], [np.zeros((4, 4)), np.eye(4)]])
    one.predict()
    later = filter_.predict(states, elapsed)
    assert_allclose(means(later)[0], one.x, rtol=1e-9)
    assert_allclose(covariances(later)[0], one.P, rtol=1e-9, atol=1e-9)


@settings(max_examples=100)
@given(elapsed=st.floats(1e-3, 100))
def test_noise_is_a_covariance_at_any_time(elapsed: float) -> None:
    certain = np.zeros((1, 5, 4))
    certain[:, 0] = [0, 0, 40, 100]
    assert np.linalg.eigvalsh(covariances(WidthHeightFilter().predict(certain, elapsed))[0]).min() > 0


@pytest.mark.parametrize("filter_", FILTERS, ids=lambda f: type(f).__name__)
def test_zero_sizes_for_long_keep_covariances_sound(filter_: KalmanFilter) -> None:
    boxes = np.array([[10.0, 10, 10, 10], [20, 20, 60, 20], [5, 5, 50, 90]])
    states = filter_.initiate(boxes)
    for _ in range(2000):
        states = corrected(filter_, filter_.predict(states, 1.0), boxes)
    assert np.linalg.eigvalsh(covariances(states)).min() > 0
    assert_allclose(means(states)[:, :2], (boxes[:, :2] + boxes[:, 2:]) / 2, atol=0.5)


@pytest.mark.parametrize("filter_", FILTERS, ids=lambda f: type(f).__name__)
def test_boxes_survive_the_state(filter_: KalmanFilter) -> None:
    boxes = random_boxes(np.random.default_rng(0), 20)
    assert_allclose(filter_.boxes(filter_.initiate(boxes)), boxes)


def test_a_shrinking_box_never_turns_inside_out() -> None:
    states = np.ones((1, 5, 4))
    states[:, :2] = [[50, 50, 10, 10], [0, 0, -4, -4]]
    for filter_ in FILTERS:
        x1, y1, x2, y2 = filter_.boxes(filter_.predict(states, 5.0))[0]
        assert x1 <= x2
        assert y1 <= y2


@pytest.mark.parametrize("filter_", FILTERS, ids=lambda f: type(f).__name__)
def test_a_zoom_moves_a_box_like_its_corners(filter_: KalmanFilter) -> None:
    boxes = random_boxes(np.random.default_rng(1), 5)
    affine = np.array([[1.2, 0, 30], [0, 1.2, -7]])
    warped = filter_.warp(filter_.initiate(boxes), affine)
    corners = boxes.reshape(-1, 2) @ affine[:, :2].T + affine[:, 2]
    assert_allclose(filter_.boxes(warped), corners.reshape(-1, 4))


def test_a_roll_turns_velocity_and_uncertainty_but_keeps_the_size() -> None:
    filter_ = WidthHeightFilter()
    states = np.array([[[100.0, 0, 40, 90], [5, 0, 0, 0], [4, 1, 1, 1], [2, 0, 0, 0], [9, 1, 1, 1]]])
    quarter = np.array([[0.0, -1, 0], [1, 0, 0]])
    expected = np.array([[[0.0, 100, 40, 90], [0, 5, 0, 0], [1, 4, 1, 1], [0, 2, 0, 0], [1, 9, 1, 1]]])
    assert_allclose(filter_.warp(states, quarter), expected, atol=1e-12)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), angle=st.floats(-3.2, 3.2), scale=st.floats(0.5, 2))
def test_a_turn_gives_the_variances_of_the_full_filter(seed: int, angle: float, scale: float) -> None:
    """What couples x with y is dropped; what is kept is exact."""
    random = np.random.default_rng(seed)
    states = random.uniform(1, 100, (1, 5, 4))
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    affine = np.array([[cosine, -sine, 3], [sine, cosine, 5]])
    block = np.diag([0, 0, scale, scale])
    block[:2, :2] = affine[:, :2]
    full = np.kron(np.eye(2), block)
    warped = WidthHeightFilter().warp(states, affine)
    expected = full @ covariances(states)[0] @ full.T
    assert_allclose(np.diag(covariances(warped)[0]), np.diag(expected), rtol=1e-9)
    assert_allclose(means(warped)[0], full @ means(states)[0] + [3, 5, 0, 0, 0, 0, 0, 0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("filter_", FILTERS, ids=lambda f: type(f).__name__)
def test_a_measurement_of_infinite_variance_says_nothing(filter_: KalmanFilter) -> None:
    random = np.random.default_rng(1)
    states = filter_.predict(
        corrected(filter_, filter_.initiate(random_boxes(random, 2)), random_boxes(random, 2)), 1.0
    )
    innovation = filter_.innovation(states)
    innovation[0] = np.inf
    measured = filter_.measure(random_boxes(random, 2))
    both = filter_.update(states, measured, innovation)
    assert_array_equal(both[0], states[0])
    assert_array_equal(both[1], filter_.update(states, measured, filter_.innovation(states))[1])


@pytest.mark.parametrize("filter_", FILTERS, ids=lambda f: type(f).__name__)
def test_each_estimate_is_corrected_by_the_measurement_of_its_index(filter_: KalmanFilter) -> None:
    random = np.random.default_rng(1)
    states, measured = filter_.initiate(random_boxes(random, 3)), filter_.measure(random_boxes(random, 2))
    innovation = filter_.innovation(states)
    updated = filter_.update(states, measured, innovation, np.array([1, -1, 0]))
    assert_array_equal(updated[1], states[1])
    assert_array_equal(updated[[0, 2]], filter_.update(states[[0, 2]], measured[::-1], innovation[[0, 2]]))


def test_no_tracks_is_no_special_case() -> None:
    filter_ = WidthHeightFilter()
    none = filter_.initiate(np.zeros((0, 4)))
    none = filter_.warp(filter_.predict(none, 2.0), np.eye(2, 3))
    assert corrected(filter_, none, np.zeros((0, 4))).shape == (0, 5, 4)


def test_velocities_that_decay_lead_as_far_as_their_sum_over_time() -> None:
    """Against the integral of v e^-dt, in steps of any length; the noise is left out by a filter without any."""
    filter_ = WidthHeightFilter(0.0, 0.0, 0.1)
    states = filter_.initiate(random_boxes(np.random.default_rng(1), 4))
    states[:, 1] = np.random.default_rng(2).normal(0, 5, (4, 4))
    at_once = filter_.predict(states, 6.0, decay=0.2)
    in_steps = states
    for step in (0.5, 2.5, 3.0):
        in_steps = filter_.predict(in_steps, step, decay=0.2)
    times = (np.arange(60000) + 0.5) / 10000
    way = np.exp(-0.2 * times).mean() * 6
    assert_allclose(at_once, in_steps, rtol=1e-12)
    assert_allclose(at_once[:, 0], states[:, 0] + way * states[:, 1], rtol=1e-7)
    # F P F' of the two by two matrix F = [[1, way], [0, e^-dn]], P = diag(p_x, p_v)
    assert_allclose(at_once[:, VARIANCE], states[:, VARIANCE] + way**2 * states[:, SPEED_VARIANCE], rtol=1e-7)
    assert_allclose(at_once[:, COVARIANCE], way * np.exp(-1.2) * states[:, SPEED_VARIANCE], rtol=1e-7)


def test_velocities_tend_to_the_drift_as_to_zero_beside_a_picture_that_moves_with_it() -> None:
    filter_ = WidthHeightFilter(0.0, 0.0, 0.1)
    states, drift = filter_.initiate(random_boxes(np.random.default_rng(1), 4)), np.array([3.0, -1.0])
    states[:, 1] = np.random.default_rng(2).normal(0, 5, (4, 4))
    drifting = filter_.predict(states, 6.0, decay=0.2, drift=(3.0, -1.0))
    states[:, 1, :2] -= drift
    beside = filter_.predict(states, 6.0, decay=0.2)
    beside[:, 0, :2] += 6 * drift
    beside[:, 1, :2] += drift
    assert_allclose(drifting, beside, rtol=1e-12)


@pytest.mark.parametrize("elapsed", [0.1, 0.5, 0.75, 1.0, 3.0])
def test_the_noise_of_agile_objects_is_a_covariance_after_any_time(elapsed: float) -> None:
    """The velocity's variance grows by the factor; the covariance of place and velocity stays positive definite."""
    filter_ = WidthHeightFilter(1 / 25, 1 / 320, 1 / 13)
    states = filter_.initiate(random_boxes(np.random.default_rng(0), 5))
    calm, agile = (filter_.predict(states, elapsed, agility=factor) for factor in (1.0, 64.0))
    grown = [later[:, SPEED_VARIANCE] - states[:, SPEED_VARIANCE] for later in (calm, agile)]
    assert_allclose(grown[1], 64 * grown[0], rtol=1e-9)
    noise = agile - filter_.predict(states, elapsed, agility=0.0)
    place = noise[:, VARIANCE] + elapsed * filter_.scale(states[:, 0]) ** 2 / 25**2
    assert (place * noise[:, SPEED_VARIANCE] > noise[:, COVARIANCE] ** 2).all()
