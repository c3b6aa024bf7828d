"""Rotated boxes: their overlap by hand and by another algorithm, and tracks of what lies side by side at an angle."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from trackers.association import overlapping, overlapping_shapes
from trackers.config import TRACKERS, parse_config
from trackers.rotated import enclosing, placed, rotated_iou
from trackers.tracker import Tracker
from trackers.types import FloatArray, Tracks

KINDS = sorted(TRACKERS)
TURN = np.pi / 4
LENGTH, WIDTH = 120.0, 24.0  # of a truck, in px
ROTATED_BOX = st.tuples(
    st.floats(-50, 50), st.floats(-50, 50), st.floats(0.5, 120), st.floats(0.5, 120), st.floats(-7, 7)
)


def built(kind: str) -> Tracker:
    return parse_config({"tracker_type": kind}).build(30.0)


def truck(along: float, lane: float) -> list[float]:
    """Return a truck that drives at 45 degrees, `along` px from the start of the lane `lane` px to its right."""
    ahead, aside = np.array([np.cos(TURN), np.sin(TURN)]), np.array([-np.sin(TURN), np.cos(TURN)])
    return [*(np.array([300.0, 300.0]) + along * ahead + lane * aside), LENGTH, WIDTH, TURN]


def see(tracker: Tracker, trucks: Sequence[Sequence[float]], *, upright: bool = False) -> Tracks:
    boxes: FloatArray = np.array(trucks, float).reshape(-1, 5)
    given: Any = enclosing(boxes) if upright else boxes
    return tracker.update(given, [0.9] * len(boxes), [0] * len(boxes))


def matched(tracks: Tracks) -> list[int]:
    """Return the id of each detection, in their order; 0 for one without a track."""
    found = dict(zip(tracks.detection_index.tolist(), tracks.ids.tolist(), strict=True))
    return [found.get(row, 0) for row in range(max([*found, -1]) + 1)]


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        ([7.0, 5, 2, 2, 0.3], 1.0),
        ([7.0, 5, 2, 2, 0.3 + np.pi / 4], 1 / np.sqrt(2)),  # an octagon of 8 (sqrt(2) - 1)
        ([7.0, 5, 2, 2, 0.3 - np.pi / 2], 1.0),
        ([7.0 + np.cos(0.3), 5 + np.sin(0.3), 2, 2, 0.3], 1 / 3),  # half of it has moved out
        ([7.0, 5, 1, 1, 1.9], 1 / 4),  # inside
        ([7.0 + 2 * np.cos(0.3), 5 + 2 * np.sin(0.3), 2, 2, 0.3], 0.0),  # edge to edge
        ([9.9, 5, 2, 2, 0.3], 0.0),
        ([7.0, 5, 2, 0, 0.3], 0.0),
    ],
)
def test_overlaps_known_by_hand(other: list[float], iou: float) -> None:
    square = np.array([[7.0, 5, 2, 2, 0.3]])
    assert_allclose(rotated_iou(square, np.array([other])), iou, atol=1e-8)
    assert_allclose(rotated_iou(np.array([other]), square), iou, atol=1e-8)


def corners(box: Sequence[float]) -> list[complex]:
    x, y, width, height, angle = box
    turn = np.exp(1j * angle)
    return [x + 1j * y + turn * (a * width + 1j * b * height) / 2 for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))]


def clipped_area(polygon: list[complex], window: list[complex]) -> float:
    """Return the area of `polygon` within the convex `window`, by the algorithm of Sutherland and Hodgman."""
    for start, end in pairwise([*window, window[0]]):
        sides = [((point - start) / (end - start)).imag for point in polygon]
        kept: list[complex] = []
        for (p, q), (a, b) in zip(pairwise([*polygon, *polygon[:1]]), pairwise([*sides, *sides[:1]]), strict=True):
            kept += [p] * int(a >= 0) + [p + (q - p) * a / (a - b or 1)] * int(a * b < 0)
        polygon = kept
    return sum((p.conjugate() * q).imag for p, q in pairwise([*polygon, *polygon[:1]])) / 2


@given(pairs=st.lists(st.tuples(ROTATED_BOX, ROTATED_BOX), min_size=1, max_size=8))
@example(pairs=[((0.0, 0.0, 51.0, 1.0, 1.0), (0.0, 0.0, 0.5, 1.0, 1.0))])  # edges that lie on one another
def test_the_overlap_is_the_area_of_one_clipped_by_the_other(pairs: list[tuple[Any, Any]]) -> None:
    iou = rotated_iou(np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs]))
    for (a, b), ours in zip(pairs, iou, strict=True):
        common = clipped_area(corners(a), corners(b))
        assert ours == pytest.approx(common / (a[2] * a[3] + b[2] * b[3] - common), abs=1e-6)


@given(boxes=st.lists(ROTATED_BOX, max_size=12), others=st.lists(ROTATED_BOX, max_size=12), margin=st.floats(0, 30))
def test_without_a_turn_it_is_the_overlap_of_upright_boxes(boxes: list[Any], others: list[Any], margin: float) -> None:
    ours, theirs = (np.array(rows, float).reshape(-1, 5) * [1, 1, 1, 1, 0] for rows in (boxes, others))
    margins = np.tile([margin, margin / 2], (len(ours), 1))
    turned = overlapping_shapes(enclosing(ours), ours[:, 2:], enclosing(theirs), theirs[:, 2:], margins)
    upright = overlapping(enclosing(ours), enclosing(theirs), margins)
    dense = [np.zeros((len(ours), len(theirs))) for _ in range(2)]
    for table, pairs in zip(dense, (turned, upright), strict=True):
        table[pairs.rows, pairs.columns] = pairs.iou
    assert_allclose(dense[0], dense[1], atol=1e-9)


@given(box=ROTATED_BOX)
def test_a_box_is_in_the_middle_of_what_encloses_it(box: tuple[float, ...]) -> None:
    rotated = np.array([box])
    x, y = np.real(corners(box)), np.imag(corners(box))
    assert_allclose(enclosing(rotated)[0], [x.min(), y.min(), x.max(), y.max()], atol=1e-9)
    assert_allclose(placed(enclosing(rotated), rotated[:, 2:]), rotated, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_trucks_side_by_side_keep_their_ids_where_one_drops_out_as_another_comes(kind: str) -> None:
    """Their enclosing boxes overlap by 0.46: by them, the newcomer in the next lane takes over the id of the first."""

    def ids(upright: bool) -> list[int]:
        tracker = built(kind)
        for step in range(20):
            see(tracker, [truck(4 * step, 0)], upright=upright)
        for step in range(20, 40):
            tracks = see(tracker, [truck(4 * step, 30)], upright=upright)
        return matched(tracks)

    assert ids(upright=True) == [1]
    assert ids(upright=False) == [2]


def test_a_truck_close_beside_another_begins_a_track() -> None:
    """By the boxes around them, the second is taken for another detection of the first."""

    def ids(upright: bool) -> list[int]:
        tracker = built("streamsort")
        for step in range(20):
            lanes = [0.0] if step < 5 else [0.0, 26.0]
            tracks = see(tracker, [truck(4 * step, lane) for lane in lanes], upright=upright)
        return matched(tracks)

    assert ids(upright=True) == [1]
    assert ids(upright=False) == [1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_rotated_boxes_are_reported_where_they_are_and_expected_where_they_go(kind: str) -> None:
    tracker = built(kind)
    for step in range(30):
        tracks = see(tracker, [truck(4 * step, 0), truck(-4 * step, 60)])
    assert_array_equal(tracks.ids, [1, 2])
    assert_allclose(tracks.rotated, [truck(116, 0), truck(-116, 60)], atol=2.0)
    expected = tracker.expected(elapsed=5.0)
    assert_allclose(expected.rotated, [truck(136, 0), truck(-136, 60)], atol=4.0)
    assert_allclose(placed(expected.boxes, expected.rotated[:, 2:]), expected.rotated)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(angle=st.floats(-1, 1), zoom=st.floats(0.8, 1.25))
def test_a_camera_that_rolls_and_zooms_turns_the_boxes(kind: str, angle: float, zoom: float) -> None:
    tracker = built(kind)
    for _ in range(5):
        see(tracker, [truck(0, 0)])
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    motion = np.array([[cos, -sin, 12], [sin, cos, -7]])
    (rotated,) = tracker.expected(elapsed=1.0, camera_motion=motion).rotated
    x, y, *_ = truck(0, 0)
    assert_allclose(rotated[2:], [zoom * LENGTH, zoom * WIDTH, TURN + angle])
    assert_allclose(rotated[:2], motion @ [x, y, 1], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_state_goes_on_with_the_shapes_and_one_of_before_has_none(kind: str) -> None:
    tracker, other = built(kind), built(kind)
    for step in range(6):
        see(tracker, [truck(4 * step, 0), truck(4 * step, 30)])
    other.restore(tracker.state())
    for step in range(6, 9):
        ours, theirs = (see(each, [truck(4 * step, 30), truck(4 * step, 0)]) for each in (tracker, other))
        for column, same in zip(ours, theirs, strict=True):
            assert_array_equal(column, same)
    upright = built(kind)
    see(upright, [truck(0, 0)], upright=True)
    assert "shapes" not in upright.state()
    other.restore(upright.state())
    assert see(other, [truck(0, 0)], upright=True).rotated.shape == (1, 0)
