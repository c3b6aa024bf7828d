"""Queries of a plan."""

import numpy as np
import pytest

from tests.scene.plain_street import STREET


@pytest.mark.parametrize(
    ("y", "heading", "off_road"),
    [(-4.0, None, True), (-1.0, 0.0, False), (2.0, np.pi, False), (4.0, None, True), (9.0, None, False)],
)
def test_who_may_be_where(y: float, heading: float | None, off_road: bool) -> None:
    lane = STREET.lane_at(y)
    assert (lane and lane.heading) == heading
    assert STREET.is_off_road(y) == off_road


def test_houses_stand_on_one_side() -> None:
    assert STREET.between_walls(margin=0.5) == (-5.5, np.inf)
    assert STREET.is_open(100.0, margin=0.5) and not STREET.is_open(-5.6, margin=0.5)
