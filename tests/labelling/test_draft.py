"""Which tracks are labelled, and where their boxes end."""

from fractions import Fraction

import numpy as np
import pytest

from streamdet.labelling.draft import Draft, draft
from streamdet.result import Result
from streamdet.types import Detections, Frame, Tracks

BLANK = np.zeros((100, 200, 3), np.uint8)
NOTHING = Detections([], [], [])  # type: ignore[arg-type]

Row = tuple[int, float, tuple[float, float, float, float]]  # id, score, box


def result(index: int, rows: list[Row]) -> Result:
    ids, scores, boxes = ([row[k] for row in rows] for k in range(3))
    none = np.full(len(rows), -1)
    tracks = Tracks(ids, boxes, scores, np.array(ids) % 3, none)  # type: ignore[arg-type]
    return Result(Frame(index, index, Fraction(1, 10), BLANK, "scene", 0.0), NOTHING, tracks, ["a", "b", "c"], {})


def test_a_track_is_labelled_by_its_mean_score() -> None:
    weak_once = [(1, 0.9, (0, 0, 50, 50)), (1, 0.2, (0, 0, 50, 50)), (1, 0.7, (0, 0, 50, 50))]
    mostly_weak = [(2, 0.1, (100, 0, 150, 50)), (2, 0.8, (100, 0, 150, 50)), (2, 0.1, (100, 0, 150, 50))]
    scene = [result(i, [weak_once[i], mostly_weak[i]]) for i in range(3)]
    drafts = draft(scene, 1, 0.4)
    assert [each.frame_index for each in drafts] == [0, 1, 2]
    assert [each.class_ids.tolist() for each in drafts] == [[1], [1], [1]]


def test_every_n_counts_frames_of_the_video() -> None:
    scene = [result(index, []) for index in (0, 1, 3, 4, 6, 7, 8)]
    assert [each.frame_index for each in draft(scene, 4, 0.4)] == [0, 4, 8]


def test_auto_chooses_frames_that_differ() -> None:
    scene = [result(i, [(1, 0.9, (0, 0, 50, 50))]) for i in range(20)]
    scene += [result(i, [(2, 0.9, (80, 0, 150, 50))]) for i in range(20, 40)]
    assert [each.frame_index for each in draft(scene, "auto", 0.4)] == [0, 20]


def test_images_without_times_count_as_a_second_apart() -> None:
    scene = [result(i, [(i + 1, 0.9, (0, 0, 50, 50))]) for i in range(4)]
    assert [each.frame_index for each in draft(scene, "auto", 0.4, has_times=False)] == [0, 1, 2, 3]
    assert [each.frame_index for each in draft(scene, "auto", 0.4)] == [0]


def test_boxes_end_at_the_edge_and_what_is_left_must_be_seen() -> None:
    rows: list[Row] = [(1, 0.9, (-20, 50, 30, 120)), (2, 0.9, (199, 0, 260, 50)), (3, 0.9, (300, 0, 350, 50))]
    (only,) = draft([result(0, rows)], 1, 0.4)
    assert only.boxes.tolist() == [[0, 50, 30, 100]]


def test_classes_are_renumbered_by_their_place() -> None:
    boxes = np.zeros((3, 4), np.float32)
    assert Draft(7, np.array([5, 2, 5]), boxes).renumbered((5, 2)).class_ids.tolist() == [0, 1, 0]
    with pytest.raises(KeyError):
        Draft(7, np.array([5, 2, 5]), boxes).renumbered((5,))
