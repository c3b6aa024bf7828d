"""Detections and tracks as sequences of rows: one by one, and chosen by name, mask, slice and index."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.rows import Detection, Track
from streamdet.types import Detections, Frame, Tracks

NAMES = ("person", "car", "bus")
BOXES = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]], np.float32)
SCORES = np.array([0.5, 0.25, 0.75, 0.875], np.float32)
FOUND = Detections(BOXES, SCORES, np.array([0, 2, 1, 0]), NAMES)
TRACKED = Tracks(np.array([7, 3, 9, 4]), BOXES, SCORES, FOUND.class_ids, np.array([0, -1, 2, 1]), NAMES)


def test_each_row_has_the_values_of_its_object() -> None:
    assert list(FOUND)[1] == Detection((4.0, 5.0, 6.0, 7.0), 0.25, 2, "bus")
    assert list(TRACKED)[1] == Track(3, (4.0, 5.0, 6.0, 7.0), 0.25, 2, "bus", predicted=True)
    assert [(track.id, track.class_name, track.predicted) for track in TRACKED] == [
        (7, "person", False),
        (3, "bus", True),
        (9, "car", False),
        (4, "person", False),
    ]


@pytest.mark.parametrize("index", [2, -2, np.int64(2)])
def test_a_number_chooses_one_row(index: int) -> None:
    assert TRACKED[index] == Track(9, (8.0, 9.0, 10.0, 11.0), 0.75, 1, "car", predicted=False)
    assert FOUND[index].class_name == "car"


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        ("person", [7, 4]),
        ("0", [7, 4]),
        (["car", "bus"], [3, 9]),
        (TRACKED.scores > 0.5, [9, 4]),
        ([True, False, False, True], [7, 4]),
        (slice(1, 3), [3, 9]),
        ([3, 0], [4, 7]),
        (np.array([-1]), [4]),
        ([], []),
    ],
    ids=str,
)
def test_rows_are_chosen_with_all_their_columns(chosen: Any, ids: list[int]) -> None:
    tracks, found = TRACKED[chosen], FOUND[chosen]
    places = [TRACKED.ids.tolist().index(track_id) for track_id in ids]
    assert tracks.ids.tolist() == ids
    for rows in (tracks, found):
        np.testing.assert_array_equal(rows.boxes, BOXES[places].reshape(-1, 4))
        np.testing.assert_array_equal(rows.scores, SCORES[places])
        assert rows.class_ids.tolist() == FOUND.class_ids[places].tolist()
        assert rows.class_names == NAMES
    assert tracks.detection_index.tolist() == TRACKED.detection_index[places].tolist()


def test_a_class_without_a_name_has_its_number() -> None:
    unnamed = replace(FOUND, class_names=NAMES[:2])
    assert [detection.class_name for detection in unnamed] == ["person", "2", "car", "person"]


@pytest.mark.parametrize(
    ("chosen", "error", "message"),
    [
        ("persn", InputError, "no class 'persn'; did you mean 'person'"),
        (4, IndexError, "index 4 is out of bounds"),
        ([True, False], IndexError, "boolean index did not match"),
        ([0.5], IndexError, "arrays used as indices must be of integer"),
        ([0, 0], ValueError, "ids must be unique"),
    ],
)
def test_what_chooses_no_rows_is_one_sentence(chosen: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TRACKED[chosen]


def test_a_value_describes_itself_in_one_line() -> None:
    assert repr(FOUND) == "Detections(4: 2 person, 1 bus, 1 car)"
    assert repr(TRACKED["car"]) == "Tracks(1: 1 car)"
    assert repr(TRACKED[:0]) == "Tracks(0)"
    frame = Frame(12, 12, Fraction(1, 25), np.zeros((4, 6, 3), np.uint8), "street.mp4", 0.0)
    assert repr(frame) == "Frame(12 at 0.480 s: 6x4 px of 'street.mp4')"


def test_names_do_not_count_when_values_are_compared() -> None:
    assert replace(TRACKED, class_names=()) == TRACKED
