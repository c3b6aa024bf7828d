"""Ids that later frames show to be of one object."""

import numpy as np
import pytest

from tests.trackers.people import person, see
from trackers.streamsort import StreamSort
from trackers.types import Amendment

BESIDE = person(138)  # it overlaps a person at 100 px by 3 %: too little to be matched
SAME = Amendment("same", (1, 2))


def hidden_after(*people: list[float]) -> StreamSort:
    """Return a tracker at 30 Hz that saw `people` for 10 frames, and nobody for 10 more."""
    tracker = StreamSort()
    for frame in range(20):
        see(tracker, *people if frame < 10 else ())
    return tracker


def told(tracker: StreamSort, frames: int, *people: list[float]) -> list[Amendment]:
    return [amendment for _ in range(frames) for amendment in see(tracker, *people).amendments]


def test_who_comes_back_beside_its_place_is_told_to_be_the_same_half_a_second_later() -> None:
    tracker = hidden_after(person(100))
    assert told(tracker, 15, BESIDE) == []
    assert told(tracker, 1, BESIDE) == [SAME]
    assert told(tracker, 60, BESIDE) == []


@pytest.mark.parametrize(
    "other",
    [person(300), [136.0, 140, 176, 200], [130.0, 100, 180, 300]],
    ids=["far away", "another height", "twice as high"],
)
def test_who_differs_in_place_or_size_is_another(other: list[float]) -> None:
    assert told(hidden_after(person(100)), 40, other) == []


def walk(tracker: StreamSort, x: float, speed: float, frames: int) -> list[Amendment]:
    """Return what is told while a person walks on from `x` by `speed` px per frame."""
    return [amendment for k in range(frames) for amendment in see(tracker, person(x + speed * k)).amendments]


@pytest.mark.parametrize(("speed", "expected"), [(3, [SAME]), (-3, [])], ids=["goes on", "comes towards it"])
def test_who_comes_the_other_way_is_another(speed: float, expected: list[Amendment]) -> None:
    """The hidden one is expected at 187 px; both begin 38 px beside it, where they overlap it by 2 %."""
    tracker = StreamSort()
    walk(tracker, 100, 3, 20)
    told(tracker, 9)
    assert walk(tracker, 225, speed, 60) == expected


def test_another_that_begins_later_as_near_is_a_rival() -> None:
    tracker = hidden_after(person(100))
    assert told(tracker, 5, BESIDE) == []
    assert told(tracker, 40, BESIDE, person(62)) == []


def test_one_that_begins_after_the_amendment_is_not_told_to_be_a_third() -> None:
    tracker = hidden_after(person(100))
    assert told(tracker, 16, BESIDE) == [SAME]
    assert told(tracker, 40, BESIDE, person(62)) == []


def test_two_that_may_be_meant_are_no_amendment() -> None:
    """Whoever comes back between two who were hidden, and whichever of two comes back as one."""
    assert told(hidden_after(person(100), person(176)), 40, BESIDE) == []
    assert told(hidden_after(person(100)), 40, BESIDE, person(62)) == []


def test_who_is_found_again_is_not_the_other_one() -> None:
    tracker = hidden_after(person(100))
    see(tracker, BESIDE)
    assert told(tracker, 40, BESIDE, person(96)) == []


def test_who_is_seen_for_a_moment_only_is_no_proof() -> None:
    tracker = hidden_after(person(100))
    assert told(tracker, 3, BESIDE) + told(tracker, 20) == []


def test_after_a_pause_nothing_is_told_of_those_before_it() -> None:
    tracker = hidden_after(person(100))
    see(tracker, BESIDE)
    assert len(see(tracker, elapsed=300).ids) == 0
    assert told(tracker, 40, BESIDE) == []


def test_a_claim_ends_with_the_last_track() -> None:
    """All tracks end 1.5 s after they were seen, which is sooner than a claim would; who comes then is someone new."""
    tracker = hidden_after(person(100))
    assert told(tracker, 3, BESIDE) + told(tracker, 50) == []
    assert tracker.count == 0
    assert told(tracker, 40, BESIDE) == []


def test_another_class_is_another_object() -> None:
    tracker = hidden_after(person(100))
    assert not any(see(tracker, BESIDE, label=1).amendments for _ in range(40))


def test_what_is_not_decided_yet_is_part_of_the_state() -> None:
    tracker, again = hidden_after(person(100)), StreamSort()
    told(tracker, 8, BESIDE)
    again.restore(tracker.state())
    assert told(again, 8, BESIDE) == told(tracker, 8, BESIDE) == [SAME]


@pytest.mark.parametrize("claims", [np.zeros((1, 5)), np.full((1, 12), np.nan), np.full((1, 12), -1.0), np.zeros(12)])
def test_claims_that_no_tracker_leaves_are_refused(claims: np.ndarray) -> None:
    state = hidden_after(person(100)).state()
    with pytest.raises(ValueError, match="found claims that no tracker leaves"):
        StreamSort().restore({**state, "claims": claims})
