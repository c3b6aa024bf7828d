"""The columns of the track table: identities, votes, appearance."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.trackers.people import person, see
from trackers.config import TRACKERS, parse_config
from trackers.kalman import WidthHeightFilter
from trackers.states import VALUE
from trackers.streamsort import StreamSort
from trackers.tracks import COLUMNS, TrackTable
from trackers.types import Observations

FILTER = WidthHeightFilter()


def seen(scores: list[float], labels: list[int]) -> Observations:
    boxes = np.arange(len(scores))[:, None] * [50, 0, 50, 0] + np.array([0, 0, 20, 40])
    return Observations.checked(boxes, scores, labels)


def add(table: TrackTable, found: Observations) -> None:
    table.add_labels(found.class_ids)
    table.add(found, np.arange(len(found.scores)), FILTER.initiate(found.boxes))


def support(table: TrackTable, row: int, found: Observations) -> None:
    table.add_labels(found.class_ids)
    table.support(np.array([row]), found, np.array([0]))


def test_ids_are_issued_on_confirmation_and_never_twice() -> None:
    table = TrackTable()
    add(table, seen([0.9, 0.8, 0.7], [0, 0, 0]))
    table.confirm(np.array([True, False, True]))
    assert_array_equal(table.ids, [1, 0, 2])
    table.keep(np.array([False, True, False]))
    table.confirm(np.array([True]))
    assert_array_equal(table.ids, [3])


def test_every_column_keeps_the_same_rows() -> None:
    table = TrackTable()
    add(table, seen([0.9, 0.8, 0.7], [5, 6, 7]))
    table.update_features(np.arange(3), np.eye(3))
    table.keep(np.array([False, False, True]))
    assert {name: len(getattr(table, name)) for name in COLUMNS} == dict.fromkeys(COLUMNS, 1)
    assert_array_equal(table.serials, [3])
    assert_allclose(table.states[0, VALUE], [110, 20, 20, 40])
    assert_array_equal(table.scores, [0.7])
    assert_array_equal(table.features, [[0, 0, 1]])


def test_the_class_is_voted_with_the_scores() -> None:
    table = TrackTable()
    add(table, seen([0.5], [7]))
    table.confirm(table.matched)
    shown = []
    for score, label in ((0.3, 2), (0.1, 2), (0.3, 9), (0.2, 2)):
        support(table, 0, seen([score], [label]))
        shown.append(table.to_tracks(table.confirmed, FILTER.boxes(table.states)).class_ids.item())
    # 7 has 0.5 throughout; 2 has 0.3, 0.4, 0.4, 0.6
    assert shown == [7, 7, 7, 2]


def test_appearance_is_a_running_mean_of_unit_length() -> None:
    table, row = TrackTable(), np.array([0])
    add(table, seen([0.9], [0]))
    assert_array_equal(table.known, [False])
    table.update_features(row, np.array([[1.0, 0]]))
    assert_allclose(table.features, [[1, 0]])
    table.update_features(row, np.array([[0, 1.0]]))
    assert_allclose(table.features, np.array([[0.9, 0.1]]) / np.hypot(0.9, 0.1))
    table.update_features(row, np.array([[0, 0.0]]))
    assert_allclose(table.features, np.array([[0.9, 0.1]]) / np.hypot(0.9, 0.1))


def test_a_state_is_refused_when_a_column_does_not_fit() -> None:
    table = TrackTable()
    add(table, seen([0.9, 0.8], [0, 0]))
    state = table.state()
    for name, column in {"scores": np.zeros(1), "ids": np.zeros(2), "states": np.full((2, 5, 4), np.nan)}.items():
        with pytest.raises(ValueError, match=f"expected the state of a tracker, found {name} as"):
            TrackTable.from_state({**state, name: column})
    with pytest.raises(ValueError, match="expected the state of a tracker, found none of 'votes'"):
        TrackTable.from_state({name: column for name, column in state.items() if name != "votes"})


@pytest.mark.parametrize(
    ("boxes", "scores", "labels", "message"),
    [
        ([[0, 0, 1]], [0.5], [0], r"boxes must have shape \(1, 4\), one row per score, got \(1, 3\)"),
        ([[0, 0, 1, 1]], [0.5, 0.6], [0, 0], r"boxes must have shape \(2, 4\)"),
        ([[0, 0, 1, 1]], [0.5], [0, 0], r"class_ids must have shape \(1,\)"),
        ([[0, 0, 1, np.nan]], [0.5], [0], "boxes must be finite"),
        ([[0, 0, 1, 1]], [np.inf], [0], "scores must be finite"),
        ([[0, 0, 1, 1]], [1.5], [0], "scores must be between 0 and 1, got 1.5"),
        ([[0, 0, 1, 1]] * 2, [0.5, -0.5], [0, 0], "scores must be between 0 and 1, got -0.5"),
        ([[0, 0, 1, 1]], [np.nextafter(1, 2)], [0], "scores must be between 0 and 1, got 1"),
        ([[0, 0, 1, 1]], [-5e-324], [0], "scores must be between 0 and 1, got -4.94066e-324"),
        ([[0, 0, 1, 1]], [0.5], [2**53 + 2], r"class_ids must be whole numbers from 0 to 2\^53, got 9.0072e.15"),
        ([[0, 0, 1, 1]], [0.5], [np.nan], "class_ids must be finite"),
        ([[0, 0, 1, 1]], ["0.5"], [0], "scores must be real numbers, got <U3"),
        ([[0, 0, 1, 1]], 0.5, [0], r"scores must have shape \('D',\)"),
        ([[0, 0, 1j, 1]], [0.5], [0], "boxes must be real numbers, got complex128"),
        ([[0, 0, 1e300, 1]], [0.5], [0], r"boxes must be within 2\^53 px of the origin, got 1e\+300"),
        ([[0, 0, 1, 1], [0, 0]], [0.5] * 2, [0] * 2, "boxes must be numbers in rows of equal length"),
        ([[0, 0, 1, 1]] * 2, [0.5] * 2, [3, 1.5], r"class_ids must be whole numbers from 0 to 2\^53, got 1.5"),
        ([[0, 0, 1, 1]], [0.5], [-1], "class_ids must be whole numbers .*, got -1"),
        ([[0, 0, 1, 1]], [0.5], [1e300], "class_ids must be whole numbers .*, got 1e.300"),
        ([[0, 0, 1, 1]], [0.5], [2**64 - 1], "class_ids must be whole numbers .*, got 1.84467e.19"),
        ([[0, 0, 1, 1, 0.5]], [0.5], [0], "boxes must stay upright, as those of tracks"),
        ([[0, 0, -1, 1, 0.5]], [0.5], [0], "boxes must be of a width and height from 0, got -1"),
        ([[0, 0, 1, 1]], [0.5], [2**70], "class_ids must be real numbers, got object"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_the_tracker_stays_as_it_was(
    boxes: Any, scores: Any, labels: Any, message: str
) -> None:
    tracker, other = StreamSort(), StreamSort()
    for each in (tracker, other):
        see(each, person(100), person(300))
    with pytest.raises(ValueError, match=message):
        tracker.update(boxes, scores, labels)
    for ours, undisturbed in zip(see(tracker, person(110)), see(other, person(110)), strict=True):
        assert_array_equal(ours, undisturbed)


def test_the_limits_of_scores_labels_and_boxes_are_taken() -> None:
    far = 2.0**53
    found = Observations.checked([[-far, -far, far, far]] * 3, [0.0, -0.0, 1.0], [0, -0.0, far])
    assert found.scores.tolist() == [0, 0, 1]
    assert found.class_ids.tolist() == [0, 0, 2**53]


def test_a_camera_motion_of_complex_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="camera_motion must be real numbers, got complex128"):
        StreamSort().update([], [], [], camera_motion=np.eye(2, 3) * 1j)


def damaged(name: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return `state`, that of two people, with the array `name` as no tracker leaves it."""
    wrong: dict[str, Any] = {
        "ids": np.array([1, 1]),
        "serials": np.array([2, 1]),
        "detections": np.array([0, 0]),
        "unseen": np.array([0, -1.0]),
        "hits": np.array([0, 1]),
        "scores": np.array([0.5, 2]),
        "labels": np.array([-5]),
        "votes": np.zeros((2, 4)),
        "states": np.zeros((2, 5, 9)),
        "features": np.full((2, 3), 7.0),
        "shapes": np.zeros((2, 2)),
        "counters": np.array([2, 1]),
        "started": np.zeros(0),
        "step": np.array([-1.0]),
        "observed": np.zeros((2, 9, 5)),
    }
    return {**state, name: wrong[name]}


@pytest.mark.parametrize("kind", sorted(TRACKERS))
def test_a_state_that_no_tracker_leaves_is_refused_and_the_tracker_stays_as_it_was(kind: str) -> None:
    tracker, other = (parse_config({"tracker_type": kind}).build(30) for _ in range(2))
    for each in (tracker, other):
        see(each, person(100), person(300))
    state = tracker.state()
    for name in [*COLUMNS, "labels", "counters", "started", "step", *["observed"] * (kind == "ocsort")]:
        with pytest.raises(ValueError, match=r"expected the state of a tracker, found|elapsed must be above 0"):
            tracker.restore(damaged(name, state))
    huge = {**state, "states": np.full_like(state["states"], 1e200)}
    with pytest.raises(ValueError, match="found states that are no boxes"):
        tracker.restore(huge)
    for ours, undisturbed in zip(see(tracker, person(104)), see(other, person(104)), strict=True):
        assert_array_equal(ours, undisturbed)
