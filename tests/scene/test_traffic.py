"""The casts that are drawn for places of a street."""

import numpy as np
import pytest

from streamdet.scene.furniture import draw_item
from streamdet.scene.traffic import OnFoot, OnWheels
from streamdet.scene.truth import BICYCLE, MOTORCYCLE, PERSON
from tests.scene.plain_street import STREET


@pytest.fixture
def on_wheels() -> OnWheels:
    return OnWheels(np.random.default_rng(3), STREET, 10.0, cold=True)


@pytest.fixture
def on_foot() -> OnFoot:
    rng = np.random.default_rng(3)
    bench = draw_item(rng, "bench", (20.0, -5.0), leafless=False)
    return OnFoot(rng, STREET, 10.0, [bench], cold=True)


@pytest.mark.parametrize(("y", "lane_y", "heading"), [(-1.0, -1.5, 0.0), (2.0, 1.5, np.pi)])
def test_drivers_keep_to_their_lane_and_never_catch_up(
    on_wheels: OnWheels, y: float, lane_y: float, heading: float
) -> None:
    paths = [on_wheels.driver(12.0, y, 4.0)[0][1] for _ in range(5)]
    for path in paths:
        np.testing.assert_allclose(path.places[:, 1], lane_y, atol=1e-9)
        np.testing.assert_array_equal(path.headings, heading)
        np.testing.assert_allclose(path.at(4.0).origin, [12, lane_y, 0], atol=0.9)
        np.testing.assert_array_equal(path.covered, paths[0].covered)


def test_a_rider_goes_with_the_cycle(on_wheels: OnWheels) -> None:
    (cycle, cycle_path), (rider, rider_path) = on_wheels.cyclist(12.0, -1.0, 4.0)
    assert cycle.class_id in (BICYCLE, MOTORCYCLE) and rider.class_id == PERSON
    assert cycle_path is rider_path


def test_the_parked_stay_in_the_middle_of_their_strip(on_wheels: OnWheels) -> None:
    casts = [on_wheels.parked(12.0, 3.3, 4.0) for _ in range(40)]
    for ((figure, path),) in casts:
        assert np.ptp(path.places, axis=0).tolist() == [0, 0]
        assert figure.class_id in (BICYCLE, MOTORCYCLE) or path.places[0].tolist() == [12, 4]
    assert {figure.class_id for ((figure, _),) in casts} >= {BICYCLE, 2}


def test_walkers_pass_side_by_side_along_the_pavement(on_foot: OnFoot) -> None:
    cast = on_foot.group(12.0, -4.5, 4.0)
    places = np.array([path.at(4.0).origin for _, path in cast])
    assert len(cast) in (2, 3)
    assert np.linalg.norm(places[0] - (12, -4.5, 0)) < 0.5
    assert all(path.places[:, 1].min() >= -5.6 for _, path in cast)


def test_a_bench_near_by_is_taken(on_foot: OnFoot) -> None:
    ((_, seated),), ((_, standing),) = on_foot.bystander(17.0, -4.0, 0.0), on_foot.bystander(5.0, -4.0, 0.0)
    assert abs(seated.places[0, 0] - 20) == pytest.approx(0.4) and seated.headings[0] == np.pi / 2
    assert standing.places[0].tolist() == [5, -4]


def test_those_who_talk_face_each_other(on_foot: OnFoot) -> None:
    for _ in range(5):
        for _, path in on_foot.talk(12.0, -4.0, 0.0):
            ahead = np.array([np.cos(path.headings[0]), np.sin(path.headings[0])])
            np.testing.assert_allclose(path.places[0] + 0.55 * ahead, [12, -4], atol=1e-9)


def test_nobody_comes_where_they_do_not_belong(on_wheels: OnWheels, on_foot: OnFoot) -> None:
    pavement, road, beyond = -4.5, 0.0, 50.0
    for draw in (on_wheels.driver, on_wheels.cyclist):
        assert all(draw(12.0, pavement, 4.0) == [] for _ in range(20))
    for draw in (on_wheels.parked, on_wheels.parked_cycle, on_foot.bystander, on_foot.talk):
        assert draw(12.0, road, 4.0) == []
    assert on_foot.walker(12.0, beyond, 4.0) == []
