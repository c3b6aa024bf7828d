"""Drafts: which frames are worth a label, which objects get one, and the folder they go to."""

from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import pytest

from streamdet.labelling import Draft, Novelty, draft
from streamdet.result import Result
from streamdet.types import Detections, Frame, Tracks, UInt8Array

RATE_HZ = 25
GREY = np.full((90, 160, 3), 128, np.uint8)


def people(lefts: Iterable[float], first_id: int = 1) -> Tracks:
    """People 40 px wide and 80 px high, numbered from `first_id`."""
    boxes = np.array([[left, 0, left + 40, 80] for left in lefts], np.float32).reshape(-1, 4)
    n = len(boxes)
    return Tracks(np.arange(first_id, first_id + n), boxes, np.ones(n, np.float32), np.zeros(n, np.int64), np.arange(n))


def chosen(scene: Iterable[Tracks], images: Iterable[UInt8Array] | None = None) -> list[int]:
    """The frames that are chosen of a scene."""
    novelty = Novelty()
    tracks = list(scene)
    pictures = list(images) if images is not None else [GREY] * len(tracks)
    pairs = enumerate(zip(pictures, tracks, strict=True))
    return [index for index, (image, each) in pairs if novelty(index / RATE_HZ, image, each)]


def test_where_nothing_changes_one_frame_is_enough() -> None:
    assert chosen([people([0, 100])] * 250) == [0]
    assert chosen([people([])] * 250) == [0]


def test_where_everything_changes_frames_are_half_a_second_apart() -> None:
    # 40 px a frame: no box overlaps that of the frame before.
    assert chosen([people([40.0 * i]) for i in range(60)]) == [0, 13, 26, 39, 52]


def test_who_walks_slowly_is_chosen_when_the_overlap_is_gone() -> None:
    # Half the overlap, (40 - d) / (40 + d) < 1/2, is gone after d = 13.3 px: 27 frames of 0.5 px.
    assert chosen([people([0.5 * i]) for i in range(60)]) == [0, 27, 54]


def test_one_of_ten_has_a_tenth_of_the_weight() -> None:
    standing = [100.0 * i for i in range(1, 10)]
    assert chosen([people([40.0 * i, *standing]) for i in range(251)]) == [0, 125, 250]


def test_who_comes_and_who_goes_is_a_change() -> None:
    scene = [people([])] * 50 + [people([0])] * 50 + [people([])] * 50
    assert chosen(scene) == [0, 50, 100]
    assert chosen([people([0])] * 50 + [people([0], first_id=2)] * 50) == [0, 50]


def test_a_change_of_scene_is_a_change() -> None:
    images = [GREY] * 50 + [GREY + np.uint8(40)] * 50
    assert chosen([people([])] * 100, images) == [0, 50]


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [np.clip(GREY + rng.normal(0, 12, GREY.shape), 0, 255).astype(np.uint8) for _ in range(60)]
    assert chosen([people([])] * 60, images) == [0]


BLANK = np.zeros((100, 200, 3), np.uint8)
NOTHING = Detections([], [], [])

Row = tuple[int, float, tuple[float, float, float, float]]  # id, score, box


def result(index: int, rows: list[Row]) -> Result:
    ids, scores, boxes = ([row[k] for row in rows] for k in range(3))
    none = np.full(len(rows), -1)
    tracks = Tracks(ids, boxes, scores, np.array(ids) % 3, none)
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


def test_the_lines_of_a_label_file() -> None:
    boxes = np.array([[16, 12, 48, 36], [0, 0, 64, 24]], np.float32)
    assert Draft(7, np.array([1, 0]), boxes).lines((48, 64)) == [
        "1 0.500000 0.500000 0.500000 0.500000",
        "0 0.500000 0.250000 1.000000 0.500000",
    ]
