"""What a sensor makes of plain grey views."""

import numpy as np
import pytest

from streamdet.scene.sensor import Sensor


def test_the_exposure_follows_the_light() -> None:
    """A dim view and a bright one come out with about the same grey."""
    greys = []
    for level in (90, 180):
        view = np.full((64, 96, 3), level, np.uint8)
        greys.append(Sensor(np.random.default_rng(5), (96, 64), view, dark=False).expose(view, 0).mean())
    assert greys[0] == pytest.approx(greys[1], rel=0.1)


def test_noise_differs_between_frames_and_not_between_calls() -> None:
    view = np.full((64, 96, 3), 120, np.uint8)
    sensor = Sensor(np.random.default_rng(5), (96, 64), view, dark=True)
    first, again, second = (sensor.expose(view, index).astype(int) for index in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert 1 < np.abs(first - second).mean() < 15
