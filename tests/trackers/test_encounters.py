"""Ids that appearance shows to be swapped: two people meet, turn round, and motion takes them for two who pass."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.trackers.people import person
from trackers.encounters import MOST
from trackers.streamsort import StreamSort
from trackers.types import Amendment, FloatArray, IntArray

RED, BLUE, GREEN, *_ = np.eye(8)
UNKNOWN = np.zeros(8)
MET = 30  # the frame in which they meet
SWAPPED = Amendment("swapped", (1, 2), 1.0)
Looks = Sequence[FloatArray]


@dataclass
class Meeting:
    """Two people walk towards each other, and are hidden for six frames, as by a van; then they turn round or go on.

    They look like `before` and `after`; near the van and until the frame `dark_until` their features are unknown. What
    is told is in `told`, by frame; `asked` are the frames in which features were asked for, and of how many detections.
    """

    turns: bool = True
    before: Looks = (RED, BLUE)
    after: Looks = (RED, BLUE)
    lazy: bool = False
    dark_until: int = MET + 8
    tracker: StreamSort = field(default_factory=StreamSort)
    told: dict[int, tuple[Amendment, ...]] = field(default_factory=dict)
    asked: dict[int, int] = field(default_factory=dict)

    def see(self, frames: Iterable[int]) -> "Meeting":
        last = None
        for frame in frames:
            places, looks = self._scene(frame)
            amendments = self.tracker.update(
                np.reshape([person(x) for x in places], (-1, 4)),
                [0.9] * len(places),
                [0] * len(places),
                elapsed=1 if last is None else frame - last,
                features=self._embed(frame, looks) if self.lazy else looks,
            ).amendments
            last = frame
            if amendments:
                self.told[frame] = amendments
        return self

    def _scene(self, frame: int) -> tuple[list[float], FloatArray]:
        way = 3.0 * (frame if frame <= MET or not self.turns else 2 * MET - frame)
        looks = self.before if frame <= MET else self.after
        if MET - 8 < frame < self.dark_until:
            looks = (UNKNOWN, UNKNOWN)
        hidden = abs(frame - MET) < 4
        return ([], np.zeros((0, 8))) if hidden else ([100 + way, 300 - way], np.array(looks))

    def _embed(self, frame: int, looks: FloatArray) -> Callable[[IntArray], FloatArray]:
        def embed(rows: IntArray) -> FloatArray:
            self.asked[frame] = self.asked.get(frame, 0) + len(rows)
            return looks[rows]

        return embed


def test_a_swap_is_told_once_a_second_after_the_two_have_parted() -> None:
    """They are near each other until frame 34, in which each is found as the other one."""
    assert Meeting().see(range(200)).told == {64: (SWAPPED,)}


def test_who_passes_is_not_swapped() -> None:
    assert Meeting(turns=False).see(range(200)).told == {}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((RED, UNKNOWN), (RED, BLUE)),
        ((RED, BLUE), (UNKNOWN, BLUE)),
        ((RED, RED), (RED, RED)),
        ((RED + 10 * GREEN, BLUE + 10 * GREEN), (RED + 10 * GREEN, BLUE + 10 * GREEN)),
        ((RED, BLUE), (GREEN, GREEN)),
        ((RED, BLUE), (RED, GREEN)),
        ((RED, BLUE), (RED + BLUE, RED + BLUE)),
        ((RED, BLUE), (RED + 2 * GREEN, BLUE)),
        ((RED, RED + 3 * BLUE), (RED + BLUE, RED + 3 * BLUE)),
    ],
    ids=[
        *("one unknown", "one unknown after", "equal", "similar", "others", "one of them another", "both mixed"),
        *("one hardly alike", "one more like itself"),
    ],
)
def test_what_does_not_show_a_swap_tells_nothing(before: Looks, after: Looks) -> None:
    assert Meeting(before=before, after=after).see(range(200)).told == {}


def test_without_features_nothing_is_kept() -> None:
    tracker = StreamSort()
    for _ in range(3):
        tracker.update([person(100), person(110)], [0.9] * 2, [0] * 2)
    assert len(tracker.state()["encounters"]) == 0


def test_from_then_on_the_appearance_of_an_id_is_that_of_its_object() -> None:
    """Until then the moving average holds some of what the other one looked like before."""
    meeting = Meeting().see(range(64))
    assert (meeting.tracker.state()["features"][:, :2].min(axis=1) > 0.1).all()
    meeting.see([64])
    assert_array_equal(meeting.tracker.state()["features"][:, :2], [[0, 1], [1, 0]])


@pytest.mark.parametrize(("every", "ago_s"), [(2, 1.0), (3, 1.0), (4, 32 / 30), (6, 1.0)])
def test_dropped_frames_count_as_time(every: int, ago_s: float) -> None:
    (told,) = Meeting().see(range(0, 200, every)).told.values()
    assert told == (Amendment("swapped", (1, 2), ago_s),)


def test_features_on_demand_tell_the_same_and_few_are_asked_for() -> None:
    """Beside the usual ones, at the second sight and every tenth: in five frames, 0.2 s apart."""
    meeting = Meeting(lazy=True).see(range(200))
    assert meeting.told == {64: (SWAPPED,)}
    usual = {1, 34, *range(9, MET, 10), *range(36, 200, 10)}
    assert {frame for frame in meeting.asked if frame not in usual} == {40, 52, 58, 64}
    assert set(meeting.asked.values()) == {2}


def test_what_cannot_be_seen_is_not_looked_at_in_every_frame() -> None:
    meeting = Meeting(lazy=True, after=(UNKNOWN, UNKNOWN)).see(range(150))
    assert meeting.told == {}
    assert len([frame for frame in meeting.asked if frame >= 64]) < 30


@pytest.mark.parametrize(("dark_until", "told"), [(80, [88]), (95, [])])
def test_a_swap_is_told_within_two_seconds_or_not_at_all(dark_until: int, told: list[int]) -> None:
    """They overlap most in frame 34, and are looked at every six frames from there on."""
    assert [*Meeting(dark_until=dark_until).see(range(200)).told] == told


@pytest.mark.parametrize("frame", [20, 34, 45, 63, 64])
def test_what_is_not_decided_yet_is_part_of_the_state(frame: int) -> None:
    meeting, again = Meeting().see(range(frame)), Meeting()
    again.tracker.restore(meeting.tracker.state())
    assert meeting.see(range(frame, 90)).told == again.see(range(frame, 90)).told == {64: (SWAPPED,)}
    states = [each.tracker.state() for each in (meeting, again)]
    one, other = ({name: array.tobytes() for name, array in state.items()} for state in states)
    assert one == other


def test_a_state_of_an_earlier_version_has_no_encounters() -> None:
    meeting, again = Meeting().see(range(45)), Meeting()
    state = meeting.tracker.state()
    again.tracker.restore({name: state[name] for name in state if not name.startswith("encounter")})
    assert again.see(range(45, 200)).told == {}


@pytest.mark.parametrize(
    "broken",
    [
        {"encounters": np.zeros((1, 7))},
        {"encounters": np.full((1, 8), np.nan)},
        {"encounters": np.full((1, 8), -1.0)},
        {"encounters": np.zeros((2, 8))},
        {"encounter_features": np.zeros((1, 4, 7))},
        {"encounter_features": np.full((1, 4, 8), np.inf)},
    ],
    ids=["narrow", "not finite", "negative", "more than features", "other features", "infinite features"],
)
def test_encounters_that_no_tracker_leaves_are_refused(broken: dict[str, np.ndarray]) -> None:
    meeting = Meeting().see(range(45))
    state = meeting.tracker.state()
    assert state["encounters"].shape == (1, 8)
    with pytest.raises(ValueError, match="found encounters that no tracker leaves"):
        meeting.tracker.restore({**state, **broken})
    assert meeting.see(range(45, 90)).told == {64: (SWAPPED,)}


def test_features_of_another_length_are_refused() -> None:
    meeting = Meeting(lazy=True).see(range(40))
    with pytest.raises(ValueError, match="features must keep their length of 8, got 3"):
        meeting.tracker.update([person(150), person(250)], [0.9] * 2, [0] * 2, features=lambda rows: np.ones((2, 3)))


def gather(tracker: StreamSort, before: Looks, after: Looks, standing: int = 1, stay: int = 0) -> list[Amendment]:
    """Return what is told while people come together from 120 px apart to 20 px, and part again, in 90 frames.

    One of them, the number `standing`, stands. They stay for more frames where they are 29 px apart.
    """
    told: list[Amendment] = []
    for frame in range(-40, 50 + stay):
        step = frame if frame <= 8 else max(frame - stay, 8)
        apart = 20.0 + 3 * min(max(abs(step) - 5, 0), 33)
        looks = [UNKNOWN] * len(before) if apart < 45 else before if frame < 0 else after
        count = len(looks)
        boxes = [person(500 + apart * (k - standing)) for k in range(count)]
        told += tracker.update(boxes, [0.9] * count, [0] * count, features=np.array(looks)).amendments
    return told


def test_of_three_the_two_are_told_who_went_on_as_each_other() -> None:
    swapped = gather(StreamSort(), [RED, BLUE, GREEN], [RED, GREEN, BLUE])
    assert [amendment.ids for amendment in swapped] == [(2, 3)]


def test_of_three_who_went_on_in_a_circle_no_two_are_told() -> None:
    assert gather(StreamSort(), [RED, BLUE, GREEN], [GREEN, RED, BLUE]) == []


@pytest.mark.parametrize("standing", [1, 0], ids=["in the same frame", "one after the other"])
def test_of_two_swaps_that_may_be_one_is_told(standing: int) -> None:
    """The first and the third look alike before and after, so that the second may have gone on as either."""
    told = gather(StreamSort(), [RED, BLUE, RED + 0.1 * GREEN], [BLUE, RED, BLUE], standing)
    assert [amendment.ids for amendment in told] == [(1, 2)]


def test_who_is_swapped_back_later_is_told_again() -> None:
    tracker = StreamSort()
    told = gather(tracker, [RED, BLUE], [BLUE, RED]) + gather(tracker, [BLUE, RED], [RED, BLUE])
    assert [amendment.ids for amendment in told] == [(1, 2), (1, 2)]


@pytest.mark.parametrize(("stay", "count"), [(10, 1), (60, 0)])
def test_a_swap_is_told_of_those_who_part_soon(stay: int, count: int) -> None:
    assert len(gather(StreamSort(), [RED, BLUE], [BLUE, RED], stay=stay)) == count


def test_memory_is_bounded() -> None:
    """Of twenty who overlap, 190 pairs, the newest encounters are kept."""
    tracker, random = StreamSort(), np.random.default_rng(0)
    boxes = [person(100 + k) for k in range(20)]
    for _ in range(5):
        tracker.update(boxes, [0.9] * 20, [0] * 20, features=random.normal(size=(20, 8)))
    state = tracker.state()
    assert len(state["encounters"]) == len(state["encounter_features"]) == MOST
