"""The values that flow: validated, read-only, and lossless to and from supervision."""

from fractions import Fraction

import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.types import Detections, Frame, Tracks

BOXES = np.array([[1, 2, 3, 4], [5.5, 6, 7, 8]], np.float32)


def tracks() -> Tracks:
    return Tracks(np.array([7, 9]), BOXES, np.array([0.25, 0.75], np.float32), np.array([2, 0]), np.array([1, 0]))


def test_arrays_are_read_only_and_typed() -> None:
    detections = Detections(BOXES.astype(np.float64), [0.5, 0.25], [1, 2])  # type: ignore[arg-type]
    dtypes = [array.dtype.str[1:] for array in (detections.boxes, detections.scores, detections.class_ids)]
    assert dtypes == ["f4", "f4", "i8"]
    with pytest.raises(ValueError, match="read-only"):
        detections.boxes[0, 0] = 1


def test_the_owner_of_an_array_keeps_writing() -> None:
    boxes = BOXES.copy()
    Detections(boxes, np.array([0.5, 0.25], np.float32), np.array([1, 2]))
    boxes[0, 0] = 1


def test_empty_lists_are_empty_tables() -> None:
    assert Detections([], [], []).boxes.shape == (0, 4)  # type: ignore[arg-type]


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"boxes must have shape \('N', 4\), got \(2, 3\)"):
        Detections(BOXES[:, :3], np.zeros(2, np.float32), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="boxes has 2, scores has 1"):
        Detections(BOXES, np.zeros(1, np.float32), np.zeros(2, np.int64))
    with pytest.raises(InputError, match=r"expected an image \(H, W, 3\), .* found the shape \(3, 4, 5\)"):
        Frame(0, 0, Fraction(1, 25), np.zeros((3, 4, 5), np.uint8), "x", 0.0)


def test_track_ids_start_at_one() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Tracks(np.array([0]), BOXES[:1], np.array([1], np.float32), np.array([0]), np.array([0]))


def test_time_is_exact() -> None:
    frame = Frame(3, 1001, Fraction(1, 30000), np.zeros((2, 2, 3), np.uint8), "x", 0.0)
    assert frame.time == Fraction(1001, 30000)


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
