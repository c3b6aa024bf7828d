"""What the default tracker does beyond two stages, in scenes with known answers."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.trackers.people import person, see
from trackers.states import SPEED
from trackers.streamsort import StreamSort, StreamSortConfig
from trackers.types import Appearance, FloatArray, IntArray

RED, BLUE = (1.0, 0.0), (0.0, 1.0)


def walked(tracker: StreamSort, steps: int, pace: float = 5.0) -> StreamSort:
    for step in range(steps):
        see(tracker, person(100 + pace * step))
    return tracker


def hidden_frames(tracker: StreamSort, most: int = 40) -> int:
    """Return in how many frames without detections a track is reported."""
    return next((step for step in range(most) if not len(see(tracker).ids)), most)


def test_a_hidden_track_is_reported_where_it_is_expected_while_its_place_is_known() -> None:
    tracker = walked(StreamSort(frame_rate=30), 40)
    for step in range(40, 45):
        tracks = see(tracker)
        assert_array_equal(tracks.ids, [1])
        assert_array_equal(tracks.detection_index, [-1])
        assert_allclose(tracks.boxes, [person(100 + 5 * step)], atol=2)
    assert hidden_frames(tracker) <= 5
    assert_array_equal(see(tracker, person(350)).ids, [1])


def zigzag(tracker: StreamSort, steps: int) -> StreamSort:
    """Show ten people who turn round every third frame, each of them at a time of its own."""
    for step in range(steps):
        see(tracker, *(person(300 * k + 10 * abs((step + k) % 6 - 3), 100) for k in range(10)))
    return tracker


def test_where_objects_move_abruptly_hidden_ones_are_given_up_sooner() -> None:
    assert hidden_frames(zigzag(StreamSort(), 60)) < hidden_frames(walked(StreamSort(), 60)) - 2


def test_where_objects_move_abruptly_they_are_reported_nearer_to_where_they_are_detected() -> None:
    tracker, calm = zigzag(StreamSort(), 60), StreamSort()
    calm.restore(tracker.state() | {"scene": np.zeros(3)})
    boxes = [person(300 * k + 10 * abs((60 + k) % 6 - 3)) for k in range(10)]
    lag, calm_lag = (np.abs(see(each, *boxes).boxes - boxes).mean() for each in (tracker, calm))
    assert lag < calm_lag / 2


def test_a_detection_that_is_inside_out_is_reported_as_an_empty_box() -> None:
    tracks = see(zigzag(StreamSort(), 60), [300, 200, 340, 100], elapsed=20)
    assert tracks.boxes[0, 1] <= tracks.boxes[0, 3]
    assert_allclose(tracks.boxes, [[300, 150, 340, 150]], atol=0.1)


def test_the_time_for_which_a_hidden_track_is_reported_has_a_limit() -> None:
    tracker = walked(StreamSort(StreamSortConfig(coast_s=0.1), frame_rate=30), 40)
    assert hidden_frames(tracker) == 3


def test_where_heights_change_abruptly_they_hardly_count() -> None:
    """Ten wings beat, each at a time of its own; then all are three times as high as is usual."""
    tracker, calm = StreamSort(), StreamSort()
    for step in range(200):
        heights = [100 + 40 * ((k + step // 2) % 2) for k in range(10)]
        see(tracker, *(person(300 * k, 150 - height / 2, height) for k, height in enumerate(heights)))
    calm.restore(tracker.state() | {"scene": np.zeros(4)})
    costs = []
    for each in (calm, tracker):
        each.explains = True
        see(each, *(person(300 * k, 0, 300) for k in range(10)))
        assert each.decisions is not None
        costs.append(each.decisions.associations[0].cost)
    assert_allclose(costs[0] - costs[1], 0.9 * 0.2, atol=0.03)  # of a score of 0.9, the most that depth weighs


def test_what_was_learned_of_the_scene_is_part_of_the_state() -> None:
    tracker, other, older = zigzag(StreamSort(), 60), StreamSort(), StreamSort()
    other.restore(tracker.state())
    state = dict(tracker.state())
    del state["scene"]
    older.restore(state)  # of an earlier version
    assert_array_equal(other.state()["scene"], tracker.state()["scene"])
    assert older.state()["scene"][0] == 0 < tracker.state()["scene"][0]
    for bad in (
        [-0.1, 0, 0],
        [9.0, 0, 0],
        [1.0, np.nan, 0],
        [1.0],
        [0.0, 0, 0, 9],
        ["1", "0", "0"],
        [True, False, False],
    ):
        with pytest.raises(ValueError, match="found a scene that no tracker leaves"):
            other.restore(state | {"scene": np.array(bad)})


def test_a_hidden_track_follows_a_camera_that_turns() -> None:
    """Eight stand; one of them is hidden while the picture moves by 2.5 widths, and then stands where it stood."""
    tracker, places = StreamSort(), [100 + 150 * k for k in range(9)]
    for _ in range(20):
        see(tracker, *map(person, places))
    for step in range(1, 6):
        see(tracker, *(person(x + 20 * step) for x in places[1:]))
    tracks = see(tracker, *(person(x + 100) for x in places))
    assert_array_equal(tracks.ids, range(1, 10))


def test_a_shift_within_no_time_is_no_speed() -> None:
    tracker, places = StreamSort(), [100 + 150 * k for k in range(9)]
    for _ in range(20):
        see(tracker, *map(person, places))
    see(tracker, *(person(x + 10) for x in places), elapsed=1e-6)
    expected = tracker.expected(elapsed=1.0).boxes
    assert_allclose(expected[:, 0], [x + 10 for x in places], atol=5)


def test_a_track_of_two_detections_is_not_trusted_in_hiding() -> None:
    assert len(see(walked(StreamSort(), 2)).ids) == 0
    assert_array_equal(see(walked(StreamSort(), 3)).ids, [1])


@pytest.mark.parametrize(
    ("steps", "pace", "width_px", "expected"),
    [
        (20, 5.0, 242.0, [1]),  # the centre is expected at 220, the right side at 240
        (20, 5.0, 238.0, []),  # which leaves first
        (10, -2.0, 102.0, [1]),  # the centre is expected at 100, and the right side does not lead
        (10, 0.0, 122.0, [1]),  # a person who stands is cut off by the border
        (10, 0.0, 118.0, []),
    ],
)
def test_a_hidden_track_ends_where_it_leaves_the_image(
    steps: int, pace: float, width_px: float, expected: list[int]
) -> None:
    tracker = walked(StreamSort(), steps, pace)
    assert_array_equal(tracker.update([], [], [], image_size=(width_px, 400.0)).ids, expected)


@pytest.mark.parametrize(("step_s", "expected"), [(0.4, [1]), (0.6, [1, 2])])
def test_a_track_that_begins_after_a_long_step_is_reported_at_once(step_s: float, expected: list[int]) -> None:
    tracker, step = StreamSort(frame_rate=10), 10 * step_s
    see(tracker, person(100))
    assert_array_equal(see(tracker, person(100), person(400), elapsed=step).ids, expected)


@pytest.mark.parametrize(("noise", "share"), [(1.0, 0.0), (64.0, 7 / 8)])
def test_a_new_track_has_the_common_velocity_where_objects_move_abruptly(noise: float, share: float) -> None:
    """Eight pass by at 5 px a frame; a ninth comes into the picture."""
    tracker = StreamSort()
    for step in range(20):
        see(tracker, *(person(5 * step + 100 * place) for place in range(8)))
    tracker.restore(tracker.state() | {"scene": np.array([np.log(noise), 5.0, 0.0])})
    see(tracker, *(person(100 + 100 * place) for place in range(8)), person(-50.0))
    assert_allclose(tracker._table.states[-1, SPEED, :2], [share * 5, 0], atol=0.3)


def test_a_detection_over_a_tracked_object_starts_nothing() -> None:
    for shift_px, expected in ((10, [1]), (20, [1, 2])):  # IoU 0.6 and 0.33 with the one that is matched
        tracker = walked(StreamSort(), 5, pace=0)
        for _ in range(3):
            tracks = tracker.update([person(100), person(100 + shift_px)], [0.9, 0.85], [0, 0])
        assert_array_equal(tracks.ids, expected)


@pytest.mark.parametrize("level", [0.9, 0.55])
def test_thresholds_are_relative_to_the_scores_of_what_is_tracked(level: float) -> None:
    """The same scene from a detector that is less sure gives the same tracks."""
    tracker = StreamSort()
    for _ in range(5):
        see(tracker, person(100), score=level)
    for share, expected in ((0.8, [1]), (0.9, [1, 2])):
        for _ in range(3):
            tracks = tracker.update([person(100), person(300)], [level, share * level], [0, 0])
        assert_array_equal(tracks.ids, expected)


@pytest.mark.parametrize("frame_rate", [7.5, 10.0, 15.0, 30.0])
def test_a_walker_is_followed_at_any_frame_rate(frame_rate: float) -> None:
    """2.3 widths per second from the first frame on; without overlap between frames at 7.5 Hz when the speed is new."""
    tracker = StreamSort(frame_rate=frame_rate)
    ids = [see(tracker, person(100 + 92 * step / frame_rate)).ids.tolist() for step in range(30)]
    assert ids == [[1]] * 30


@pytest.mark.parametrize("stride", [2, 3, 6])
def test_dropped_frames_equal_a_lower_frame_rate(stride: int) -> None:
    dropped, slow = StreamSort(frame_rate=30), StreamSort(frame_rate=30 / stride)
    for step in range(0, 60, stride):
        boxes = [person(100 + 4 * step), person(380 - 3 * step, 115)]
        for got, wanted in zip(see(dropped, *boxes, elapsed=stride)[:5], see(slow, *boxes)[:5], strict=True):
            assert_allclose(got, wanted, rtol=1e-9)


def test_who_is_nearer_the_camera_tells_two_apart() -> None:
    """Two meet; one detection is left, as high as the nearer one: it is the nearer one's, though both are as near."""
    tracker = StreamSort()
    for step in range(20):
        see(tracker, person(100 + 4 * step), person(268 - 4 * step, 125))
    tracks = see(tracker, person(184, 125))
    assert_array_equal(tracks.ids[tracks.detection_index == 0], [2])


STANDS, BELOW, NEAR = person(100), person(100, 190), person(190)  # the first two overlap by 5 %


@pytest.mark.parametrize(
    ("tracked", "seen", "x", "expected"),
    [
        ([STANDS], [], 127, [1]),  # an overlap of 0.2
        ([STANDS], [], 134, [1]),  # 0.09
        ([STANDS, NEAR], [NEAR], 138, [2, 3]),  # 0.03
        ([STANDS], [], 138, [1]),  # the same, and nothing else is near
        ([STANDS], [], 145, [1]),  # an eighth of the width beside it
        ([STANDS], [], 165, [2]),  # more than half
        ([STANDS, BELOW], [], 127, [1]),  # it may be either of the two
        ([STANDS, BELOW], [], 134, [3]),
        ([STANDS, BELOW], [BELOW], 127, [2, 3]),  # and either detection may be that of the one at 100
    ],
)
def test_without_rivals_less_overlap_is_enough(
    tracked: list[list[float]], seen: list[list[float]], x: float, expected: list[int]
) -> None:
    tracker = StreamSort()
    for _ in range(20):
        see(tracker, *tracked)
    for _ in range(2):
        tracks = see(tracker, *seen, person(x))
    assert_array_equal(np.sort(tracks.ids[tracks.detection_index >= 0]), expected)


@pytest.mark.parametrize(("growth", "expected"), [(1.3, [1]), (1.4, [2])])
def test_what_is_near_and_alone_is_matched_if_it_is_as_large(growth: float, expected: list[int]) -> None:
    tracker = walked(StreamSort(), 20, pace=0)
    for _ in range(2):
        tracks = see(tracker, person(145, height=100 * growth))
    assert_array_equal(tracks.ids[tracks.detection_index >= 0], expected)


def test_a_track_that_was_hidden_is_not_matched_without_overlap() -> None:
    tracker = walked(StreamSort(), 20, pace=0)
    see(tracker)
    for _ in range(2):
        tracks = see(tracker, person(145))
    assert_array_equal(tracks.ids[tracks.detection_index >= 0], [2])


def test_another_class_is_not_matched_without_overlap() -> None:
    tracker = walked(StreamSort(), 20, pace=0)
    for _ in range(2):
        tracks = see(tracker, person(145), label=1)
    assert_array_equal(tracks.ids[tracks.detection_index >= 0], [2])


@pytest.mark.parametrize(("shift_px", "confirmed"), [(27, 1), (42, 1), (100, 0)])
def test_who_is_seen_a_second_time_alone_may_overlap_less_too(shift_px: float, confirmed: int) -> None:
    tracker = walked(StreamSort(), 5, pace=0)
    see(tracker, person(100), person(400))
    assert len(see(tracker, person(100), person(400 + shift_px)).ids) == 1 + confirmed


def painted(*looks: tuple[float, float], asked: list[int] | None = None) -> Callable[[IntArray], FloatArray]:
    """Return a function that gives `looks` and notes in `asked` which rows it was asked for."""

    def embed(rows: IntArray) -> FloatArray:
        if asked is not None:
            asked.extend(rows.tolist())
        return np.array(looks)[rows]

    return embed


def test_a_lost_object_is_found_again_by_its_looks_where_it_can_have_gone() -> None:
    for away_px, looks, expected in ((170, RED, [1]), (170, BLUE, []), (400, RED, [])):
        tracker = StreamSort(frame_rate=30)
        for _ in range(12):
            tracker.update([person(100)], [0.9], [0], features=painted(RED))
        for _ in range(25):
            tracker.update([], [], [], features=painted())
        # unseen for 26 / 30 s the reach is 0.5 + 1.5 * 0.87 = 1.8 heights
        tracks = tracker.update([person(100 + away_px)], [0.9], [0], features=painted(looks))
        assert_array_equal(tracks.ids, expected)


def test_only_boxes_that_matter_are_looked_at() -> None:
    """Alone: once at the second sight and every tenth; two who overlap: in every frame."""
    tracker, asked = StreamSort(), list[int]()
    for _ in range(20):
        tracker.update([person(100), person(500)], [0.9, 0.9], [0, 0], features=painted(RED, BLUE, asked=asked))
    assert asked == [0, 1] * 3
    asked.clear()
    for step in range(20):
        pair = [person(100), person(500 - 20 * step)]
        tracker.update(pair, [0.9, 0.9], [0, 0], features=painted(RED, BLUE, asked=asked))
    assert len(asked) < 12


def test_looks_keep_two_apart_who_stop_in_each_other_s_place() -> None:
    for with_looks, expected in ((True, [1, 2]), (False, [2, 1])):
        tracker = StreamSort()
        for _ in range(12):
            tracker.update([person(100), person(120)], [0.9] * 2, [0] * 2, features=painted(RED, BLUE))
        features = painted(BLUE, RED) if with_looks else None
        tracks = tracker.update([person(102), person(118)], [0.9] * 2, [0] * 2, features=features)
        assert_array_equal(tracks.ids[np.argsort(tracks.boxes[:, 0])], expected[::-1])


def test_features_are_asked_for_once_and_checked() -> None:
    asked = list[int]()
    appearance = Appearance(3, painted((2.0, 0.0), BLUE, RED, asked=asked))
    assert_array_equal(appearance.features(np.array([2, 0])), [[1, 0], [1, 0]])
    assert_array_equal(appearance.features(np.array([0, 1, 1])), [[1, 0], [0, 1], [0, 1]])
    assert asked == [0, 2, 1]
    with pytest.raises(ValueError, match="features must have shape"):
        Appearance(3, lambda rows: np.zeros(2)).features(np.array([0, 1]))


def test_settings_of_its_own_are_checked() -> None:
    with pytest.raises(ValueError, match="coast_s must be a time in s, 0 or more, got -1"):
        StreamSortConfig(coast_s=-1.0)
    with pytest.raises(ValueError, match=r"birth_overlap must be between 0 and 1, got 1\.5"):
        StreamSortConfig(birth_overlap=1.5)
