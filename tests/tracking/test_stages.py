"""What tracks carry of a model's task from frame to frame, and which class of the image is shown."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from streamdet.errors import InputError
from streamdet.rows import ImageClass
from streamdet.tracking.frame_tracker import FrameTracker, load_tracker
from streamdet.tracking.stages import ShownClass
from streamdet.types import Detections, Frame, Tracks
from tests.tracking.test_run_state import through_file

NAMES = ["street", "field", "harbour"]
BLACK = np.zeros((480, 640, 3), np.uint8)
POINTS = np.array([[0.25, 0.5, 0.9], [0.75, 1.0, 0.2]], np.float32)  # shares of the box, and visibility
TRUCK = [300.0, 200, 120, 24, 0.7]


def frame(index: int, rate: int = 25, source: str = "clip") -> Frame:
    return Frame(index, index, Fraction(1, rate), BLACK, source, 0.0)


def posed(boxes: list[list[float]]) -> Detections:
    """Return people in `boxes`, each with two key points."""
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(corners, [0.9] * len(corners), [0] * len(corners), ["person"], keypoints=points_in(corners))


def points_in(corners: Any) -> Any:
    points = np.tile(POINTS, (len(corners), 1, 1))
    points[:, :, :2] = corners[:, None, :2] + points[:, :, :2] * (corners[:, 2:] - corners[:, :2])[:, None]
    return points


def walk(step: int) -> list[float]:
    return [100.0 + 4 * step, 100, 140.0 + 4 * step, 200]


def test_a_track_has_the_key_points_of_its_detection() -> None:
    tracker = load_tracker("streamsort", 25)
    for step in range(4):
        found = posed([[400, 100, 440, 200], walk(step)])
        tracks = tracker.update(frame(step), found)
    assert tracks.keypoints is not None
    assert_array_equal(tracks.keypoints, found.keypoints[tracks.detection_index])  # type: ignore[index]


def test_the_key_points_of_a_hidden_person_move_with_the_box_and_stay_as_visible() -> None:
    tracker = load_tracker("streamsort", 25)
    for step in range(20):
        tracker.update(frame(step), posed([walk(step)]))
    for step in range(20, 24):
        tracks = tracker.update(frame(step), posed([]))
    assert tracks.detection_index.tolist() == [-1]
    assert tracks.keypoints is not None
    assert tracks.boxes[0, 0] > walk(19)[0] + 8
    assert_allclose(tracks.keypoints, points_in(tracks.boxes), atol=0.5)
    assert_array_equal(tracks.keypoints[0, :, 2], POINTS[:, 2])


def test_a_frame_without_detection_has_the_key_points_where_they_are_expected() -> None:
    tracker = load_tracker("streamsort", 25)
    for step in range(0, 20, 2):
        tracker.update(frame(step), posed([walk(step)]))
        tracks = tracker.expect(frame(step + 1), ["person"])
    assert tracks.keypoints is not None
    assert_allclose(tracks.keypoints, points_in(np.array([walk(19)])), atol=1.5)
    assert_array_equal(tracks.keypoints[0, :, 2], POINTS[:, 2])


def test_rotated_boxes_are_those_detected_and_those_expected() -> None:
    tracker = load_tracker("streamsort", 25)

    def trucks(step: int) -> Detections:
        rotated = np.array([[300.0 + 3 * step, 200, 120, 24, 0.7], [300.0 + 3 * step, 240, 120, 24, 0.7]])
        half = np.array([(120 * np.cos(0.7) + 24 * np.sin(0.7)) / 2, (120 * np.sin(0.7) + 24 * np.cos(0.7)) / 2])
        boxes = np.hstack([rotated[:, :2] - half, rotated[:, :2] + half])
        return Detections(boxes, [0.9, 0.8], [0, 0], ["truck"], rotated=rotated)

    for step in range(20):
        tracks = tracker.update(frame(step), trucks(step))
    assert tracks.ids.tolist() == [1, 2]
    assert_array_equal(tracks.rotated, trucks(19).rotated)
    hidden = tracker.update(frame(20), trucks(20)[:1])
    assert hidden.detection_index.tolist() == [0, -1]
    assert_allclose(hidden.rotated, trucks(20).rotated, atol=1.0)  # type: ignore[arg-type]
    expected = tracker.expect(frame(21))
    assert_allclose(expected.rotated, trucks(21).rotated[:1], atol=1.0)  # type: ignore[index, arg-type]


def test_a_model_that_only_detects_adds_nothing() -> None:
    tracker = load_tracker("streamsort", 25)
    tracks = tracker.update(frame(0), Detections([walk(0)], [0.9], [0], ["person"]))
    assert (tracks.keypoints, tracks.rotated, tracker.image_class) == (None, None, None)
    assert dict(tracker.state(["person"]).stages) == {}


def shown(probabilities: list[list[float]], rate: int = 10) -> list[int]:
    stage = ShownClass()
    return [stage.update(np.array(row, np.float32), index / rate)[0] for index, row in enumerate(probabilities)]


STREET, FIELD, HARBOUR = [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]


@pytest.mark.parametrize("rate", [10, 25, 30, 240])
def test_another_class_is_shown_when_its_mean_has_led_for_half_a_second(rate: int) -> None:
    """After 2 s of a street comes a field, with 0.1 and 0.85 where the street had 0.8 and 0.1.

    With n frames of the field in the last second its mean is the highest when 0.75 n > 0.7 (rate - n).
    """
    classes = shown([STREET] * 2 * rate + [[0.1, 0.85, 0.05]] * 2 * rate, rate)
    leads = 2 * rate + int(0.7 * rate / 1.45)
    first = classes.index(1)
    assert classes == [0] * first + [1] * (4 * rate - first)
    assert first == leads + -(-rate // 2)


def test_the_first_class_is_shown_at_once_and_a_flicker_is_not() -> None:
    assert shown([FIELD]) == [1]
    assert set(shown([STREET] * 10 + [FIELD] * 3 + [STREET] * 10 + [HARBOUR] * 4 + [STREET] * 10)) == {0}


def test_a_lead_that_passes_to_a_third_class_begins_anew() -> None:
    """The field leads for 0.4 s, then the harbour: only that is shown, 0.5 s after it took the lead."""
    stage = ShownClass()
    script = [0, *[1] * 2, *[2] * 10]
    times = [0.0, *(2 + 0.1 * k for k in range(12))]  # after 2 s, the mean is that of what follows
    certain = np.eye(3, dtype=np.float32)
    classes = [stage.update(certain[row], time_s)[0] for row, time_s in zip(script, times, strict=True)]
    # 2 of 4 frames at 2.3 s, 3 of 5 at 2.4 s
    assert classes == [0] * (1 + 9) + [2] * 3


def test_the_time_of_the_video_counts_and_not_its_frames() -> None:
    stage = ShownClass()
    for index in range(100):
        stage.update(np.array(STREET, np.float32), index / 1000)
    classes = [stage.update(np.array(FIELD, np.float32), 5 + index / 1000)[0] for index in range(499)]
    assert set(classes) == {0}
    assert stage.update(np.array(FIELD, np.float32), 5.5)[0] == 1


def classified(tracker: FrameTracker, index: int, row: list[float], source: str = "clip") -> ImageClass | None:
    tracks = tracker.update(frame(index, source=source), Detections([], [], [], NAMES, probabilities=row))
    assert tracks == Tracks([], [], [], [], [])
    return tracker.image_class


@pytest.mark.parametrize("cut", [3, 30, 40])
def test_a_saved_state_goes_on_with_the_class_and_its_lead(cut: int) -> None:
    script = [STREET] * 25 + [FIELD] * 40
    tracker, whole = load_tracker("streamsort", 25), load_tracker("streamsort", 25)
    expected = [classified(whole, index, row) for index, row in enumerate(script)]
    for index in range(cut):
        classified(tracker, index, script[index])
    resumed = load_tracker("streamsort", 25)
    resumed.restore(through_file(tracker.state(NAMES)), NAMES)
    assert [classified(resumed, index, script[index]) for index in range(cut, len(script))] == expected[cut:]
    assert expected[0] is not None
    assert expected[0][:2] == (0, "street")
    assert expected[0].probability == pytest.approx(0.8)
    assert {each.class_id for each in expected if each} == {0, 1}


def test_a_video_that_starts_over_continues_the_lead() -> None:
    tracker = load_tracker("streamsort", 25)
    for index in range(25):
        classified(tracker, index, STREET)
    shown_then = [classified(tracker, index, FIELD, source="next") for index in range(30)]
    assert [each.class_id for each in shown_then if each] == [0] * 25 + [1] * 5


def test_key_points_go_on_from_a_saved_state() -> None:
    tracker, resumed = load_tracker("streamsort", 25), load_tracker("streamsort", 25)
    for step in range(10):
        tracker.update(frame(step), posed([walk(step)]))
    resumed.restore(through_file(tracker.state(["person"])), ["person"])
    ours, theirs = (each.update(frame(10), posed([])) for each in (tracker, resumed))
    assert ours == theirs
    assert ours.keypoints is not None and ours.keypoints[0, 0, 2] > 0.8


@pytest.mark.parametrize(
    "damage",
    [
        {"keypoints": {"ids": np.array([1])}},
        {"keypoints": {"ids": np.array([1]), "boxes": np.zeros((2, 4), np.float32), "points": np.zeros((1, 1, 3))}},
        {"image_class": {"times_s": np.zeros(2), "probabilities": np.zeros((1, 3), np.float32)}},
        {
            "image_class": {
                "times_s": np.zeros(1),
                "probabilities": np.zeros((1, 3), np.float32),
                "shown_leader": np.array([0, 3]),
                "since_s": np.zeros(1),
            }
        },
    ],
)
def test_a_damaged_stage_is_refused(damage: dict[str, Any]) -> None:
    tracker = load_tracker("streamsort", 25)
    tracker.update(frame(0), posed([walk(0)]))
    state = tracker.state(["person"])
    object.__setattr__(state, "stages", damage)
    with pytest.raises(InputError, match="expected the state of a run, found"):
        load_tracker("streamsort", 25).restore(state, ["person"])
