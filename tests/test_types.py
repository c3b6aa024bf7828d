"""The values that flow: validated, read-only, and lossless to and from supervision."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.masks import Masks
from streamdet.result import Result
from streamdet.types import Detections, Frame, Tracks
from trackers.config import parse_config

BOXES = np.array([[1, 2, 3, 4], [5.5, 6, 7, 8]], np.float32)


def frame() -> Frame:
    return Frame(3, 3, Fraction(1, 25), np.zeros((4, 6, 3), np.uint8), "x", 0.0)


def result() -> Result:
    columns: dict[str, Any] = {
        "keypoints": np.ones((2, 17, 3)),
        "rotated": np.ones((2, 5)),
        "probabilities": np.array([0.25, 0.75]),
    }
    masks = Masks(np.ones((2, 3, 4), np.uint8), BOXES, np.array([0, 0, 6, 4]), (4, 6))
    found = Detections(BOXES, np.array([0.5, 0.25], np.float32), np.array([1, 2]), masks=masks, **columns)
    decisions = parse_config({"tracker_type": "sort"}).build(30)
    decisions.explains = True
    decisions.update(BOXES, found.scores, found.class_ids)
    trails = {7: np.zeros((3, 2), np.float32)}
    return Result(frame(), found, tracks(), ("cat", "dog"), trails, np.eye(2, 3), decisions.decisions)


def tracks() -> Tracks:
    return Tracks(np.array([7, 9]), BOXES, np.array([0.25, 0.75], np.float32), np.array([2, 0]), np.array([1, 0]))


def test_arrays_are_read_only_and_typed() -> None:
    detections = Detections(BOXES.astype(np.float64), [0.5, 0.25], [1, 2])
    dtypes = [array.dtype.str[1:] for array in (detections.boxes, detections.scores, detections.class_ids)]
    assert dtypes == ["f4", "f4", "i8"]
    with pytest.raises(ValueError, match="read-only"):
        detections.boxes[0, 0] = 1


def test_the_owner_of_an_array_keeps_writing_and_changes_no_value() -> None:
    boxes, ids, motion, trail = BOXES.copy(), np.array([1, 2]), np.eye(2, 3), np.zeros((3, 2), np.float32)
    found = Detections(boxes, np.array([0.5, 0.25], np.float32), ids)
    tracked = Tracks(ids, boxes, found.scores, ids, ids)
    whole = Result(frame(), found, tracked, ("cat",), {1: trail}, motion)
    for array in (boxes, ids, motion, trail):
        array[0] = 77
    assert found.boxes[0].tolist() == tracked.boxes[0].tolist() == [1, 2, 3, 4]
    assert found.class_ids.tolist() == tracked.ids.tolist() == [1, 2]
    assert whole.camera_motion is not None
    assert (whole.camera_motion[0].tolist(), whole.trails[1][0].tolist()) == ([1, 0, 0], [0, 0])


def test_an_image_is_a_view() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    assert np.shares_memory(Frame(0, 0, Fraction(1, 25), image, "x", 0.0).image, image)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_is_equal_and_read_only(copied: Callable[[Result], Result]) -> None:
    before = result()
    after = copied(before)
    assert after is not before
    assert after == before
    arrays: list[Any] = [after.frame.image, after.trails[7], after.camera_motion]
    columns = [(part, item) for part in (after.detections, after.tracks) for item in fields(part) if item.compare]
    arrays += [getattr(part, item.name) for part, item in columns if isinstance(getattr(part, item.name), np.ndarray)]
    assert after.detections.masks is not None
    arrays += [after.detections.masks.values, after.detections.keypoints, after.detections.probabilities]
    assert not any(array.flags.writeable for array in arrays)


def test_values_differ_where_an_array_does() -> None:
    one = result()
    assert one == result()
    others = [
        replace(one, frame=replace(one.frame, image=one.frame.image + 1)),
        replace(one, detections=replace(one.detections, scores=np.array([0.5, 0.75], np.float32))),
        replace(one, tracks=replace(one.tracks, ids=np.array([7, 8]))),
        replace(one, trails={7: np.ones((3, 2), np.float32)}),
        replace(one, trails={}),
        replace(one, camera_motion=None),
        replace(one, class_names=("cat", "cow")),
    ]
    assert not any(other == one for other in others)
    assert one != "another type"


def test_a_value_says_that_it_has_no_hash() -> None:
    for value in (result(), result().frame, result().detections, result().tracks):
        with pytest.raises(TypeError, match=f"{type(value).__name__} has no hash, .*: use source_id and index"):
            hash(value)


def test_empty_lists_are_empty_tables() -> None:
    assert Detections([], [], []).boxes.shape == (0, 4)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"boxes must have shape \('N', 4\), got \(2, 3\)"):
        Detections(BOXES[:, :3], np.zeros(2, np.float32), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="boxes has 2, scores has 1"):
        Detections(BOXES, np.zeros(1, np.float32), np.zeros(2, np.int64))
    with pytest.raises(InputError, match=r"expected an image \(H, W, 3\), .* found the shape \(3, 4, 5\)"):
        Frame(0, 0, Fraction(1, 25), np.zeros((3, 4, 5), np.uint8), "x", 0.0)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("boxes", [[1, 2, 3, np.nan]], "boxes must be finite numbers, got nan"),
        ("boxes", [[1, 2, 3, 1e300]], "boxes must be finite numbers, got inf"),
        ("boxes", [[1, 2, 3, 4j]], "boxes must be real numbers, got complex128"),
        ("boxes", [[1, 2], [3]], "boxes must be numbers in rows of equal length"),
        ("scores", [2], "scores must be between 0 and 1, got 2"),
        ("scores", [-0.5], "scores must be between 0 and 1, got -0.5"),
        ("scores", [np.nan], "scores must be between 0 and 1, got nan"),
        ("class_ids", [-1], "class_ids must be whole numbers, at least 0, got -1"),
        ("class_ids", [1.5], "class_ids must be whole numbers, at least 0, got 1.5"),
        ("class_ids", [1e300], r"class_ids must be whole numbers, at least 0, got 1e\+300"),
        ("class_ids", [2**64 - 1], "class_ids must be whole numbers, at least 0, got 18446744073709551615"),
        ("class_ids", ["1"], "class_ids must be real numbers, got <U1"),
        ("ids", [0], "ids must be whole numbers, at least 1, got 0"),
        ("detection_index", [-2], "detection_index must be whole numbers, at least -1, got -2"),
    ],
)
def test_values_out_of_range_are_named(column: str, values: Any, message: str) -> None:
    good: dict[str, Any] = {"boxes": BOXES[:1], "scores": [1], "class_ids": [0]}
    kinds: list[tuple[Any, dict[str, Any]]] = [(Tracks, {**good, "ids": [1], "detection_index": [-1]})]
    if column in good:
        kinds.append((Detections, good))
    for kind, columns in kinds:
        assert len(kind(**columns)) == 1
        with pytest.raises(ValueError, match=message):
            kind(**{**columns, column: values})


def test_no_two_tracks_of_a_frame_share_an_id() -> None:
    with pytest.raises(ValueError, match=r"ids must be unique, got \[7, 7\]"):
        replace(tracks(), ids=np.array([7, 7]))


def test_time_is_exact() -> None:
    frame = Frame(3, 1001, Fraction(1, 30000), np.zeros((2, 2, 3), np.uint8), "x", 0.0)
    assert frame.time == Fraction(1001, 30000)


@pytest.mark.parametrize(
    ("given", "time"),
    [
        (0, Fraction(0)),
        (2, Fraction(2)),
        (np.float32(0.5), Fraction(1, 2)),
        (1 / 30, Fraction(1, 30)),
        (7 * 1001 / 30000, Fraction(7007, 30000)),
        (3600.04, Fraction(90001, 25)),
        (Fraction(1, 44_100_000), Fraction(1, 44_100_000)),
        (-0.25, Fraction(-1, 4)),
    ],
)
def test_the_time_of_an_image_is_the_fraction_that_was_meant(given: Any, time: Fraction) -> None:
    frame = Frame.from_image(np.zeros((4, 6, 3), np.uint8), given)
    assert frame.time == time
    assert frame.time_base <= Fraction(1, 90_000)


def test_a_frame_of_an_image_has_what_was_said_of_it() -> None:
    frame = Frame.from_image(np.full((4, 6, 3), (1, 2, 3), np.uint8), 0.5, index=7, order="bgr", source_id="mine")
    assert (frame.index, frame.source_id, frame.image[0, 0].tolist()) == (7, "mine", [3, 2, 1])


@pytest.mark.parametrize("time", [float("nan"), float("inf"), None, "soon", [0.5]])
def test_a_time_that_is_none_is_one_sentence(time: Any) -> None:
    with pytest.raises(InputError, match="expected a time in s, found "):
        Frame.from_image(np.zeros((4, 6, 3), np.uint8), time)


def test_detections_survive_supervision() -> None:
    before = Detections(BOXES, np.array([0.1, 0.9], np.float32), np.array([3, 79]))
    after = Detections.from_supervision(before.to_supervision())
    for name in ("boxes", "scores", "class_ids"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
        assert getattr(before, name).dtype == getattr(after, name).dtype


def test_tracks_survive_supervision() -> None:
    converted = tracks().to_supervision()
    assert converted.tracker_id is not None
    assert converted.tracker_id.tolist() == [7, 9]
    after = Tracks.from_supervision(converted)
    for name in ("ids", "boxes", "scores", "class_ids", "detection_index"):
        np.testing.assert_array_equal(getattr(tracks(), name), getattr(after, name))
        assert getattr(tracks(), name).dtype == getattr(after, name).dtype


def test_supervision_without_the_columns_is_refused() -> None:
    import supervision

    bare = supervision.Detections(xyxy=BOXES)
    with pytest.raises(ValueError, match="confidence and class_id"):
        Detections.from_supervision(bare)
    with pytest.raises(ValueError, match="tracker_id"):
        Tracks.from_supervision(bare)
