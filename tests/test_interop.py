"""Results in the hands of other libraries, the real ones."""

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
import supervision

from streamdet.errors import InputError
from streamdet.options import TrackerOptions
from streamdet.pipeline.line import TrackStep
from streamdet.result import Result
from streamdet.tracking.frame_tracker import load_tracker
from streamdet.types import Detections, Frame

NAMES = ("person", "car")
HEIGHT, WIDTH = 120, 240


def crossing() -> list[Result]:
    """The results of 40 frames: two persons walk to the right and one car drives to the left, past the middle."""
    step = TrackStep(load_tracker(TrackerOptions.tracker, 25), NAMES)
    results = []
    for k in range(40):
        boxes = np.array([[4 * k + 10, 5, 4 * k + 30, 45], [4 * k + 50, 60, 4 * k + 70, 100], [0, 0, 0, 0]], np.float32)
        boxes[2] = [180 - 4 * k, 40, 220 - 4 * k, 60]
        found = Detections(boxes, np.full(3, 0.9), np.array([0, 0, 1]), NAMES)
        frame = Frame(k, k, Fraction(1, 25), np.full((HEIGHT, WIDTH, 3), 128, np.uint8), "street", 0.0)
        results.append(step(frame, found))
    return results


def test_a_line_zone_of_supervision_counts_our_tracks() -> None:
    zone = supervision.LineZone(
        supervision.Point(WIDTH / 2, HEIGHT), supervision.Point(WIDTH / 2, 0), [supervision.Position.CENTER]
    )
    for result in crossing():
        zone.trigger(result.tracks.to_supervision())
    assert (zone.in_count_per_class, zone.out_count_per_class) == ({1: 1}, {0: 2})


def test_annotators_of_supervision_draw_on_our_picture_with_our_names() -> None:
    annotators: list[Any] = [supervision.BoxAnnotator(), supervision.LabelAnnotator(), supervision.TraceAnnotator()]
    for result in crossing():
        picture, tracks = result.frame.to_ndarray(), result.tracks.to_supervision()
        changes = []
        for annotator in annotators:
            before = picture.copy()
            picture = annotator.annotate(picture, tracks)
            changes.append(bool((picture != before).any()))
        assert (result.frame.image == 128).all()
    assert changes == [True, True, True]
    assert tracks["class_name"].tolist() == ["person", "person", "car"]
    assert tracks[tracks["class_name"] == "car"].tracker_id.tolist() == [3]


def test_arrays_of_supervision_are_its_own() -> None:
    result = crossing()[-1]
    for rows in (result.detections, result.tracks):
        other = rows.to_supervision()
        other.xyxy[:] = 0
        assert (rows.boxes[:, 2] > 0).all()


def test_opencv_draws_on_a_copy_of_the_frame() -> None:
    result = crossing()[0]
    frame = result.frame
    np.testing.assert_array_equal(result.draw(order="bgr")[..., ::-1], result.draw())
    picture = frame.to_ndarray(order="bgr")
    cv2.circle(picture, (5, 5), 3, (255, 0, 0), cv2.FILLED)
    assert picture[5, 5].tolist() == [255, 0, 0]
    with pytest.raises(InputError, match="order must be rgb or bgr, got 'gbr'"):
        frame.to_ndarray("gbr")  # type: ignore[arg-type]
    assert (frame.image == 128).all()
