"""Who stands before whom, for places where it is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.scene.occlusion import may_hide, paint_order

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
