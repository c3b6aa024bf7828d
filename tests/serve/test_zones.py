"""Events of scripted tracks with known answers: who is new, enters, leaves, crosses, hides and is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from streamdet.result import Result
from streamdet.serve import events as kept_events
from streamdet.serve.events import Event, EventLog
from streamdet.serve.options import Zone
from streamdet.serve.zones import Movements, captured_unix_s
from streamdet.types import Detections, Frame, Tracks
from tests.pipeline.fakes import grey_frame

# A picture of 200x100 px whose zone covers x from 100 to 160 over the whole height; objects are 20 px high.
GATE = Zone("gate", ((0.5, 0.0), (0.8, 0.0), (0.8, 1.0), (0.5, 1.0)))
NAMES = ("person", "car")
Seen = tuple[int, float] | tuple[int, float, str]  # id, x of the ground point, and "predicted" or "car"


def frame(index: int, period_s: float = 0.1) -> Frame:
    return replace(
        grey_frame(index, (100, 200)), received_at=50 + period_s * index, captured_at=1000 + period_s * index
    )


def result(index: int, seen: Sequence[Seen], period_s: float = 0.1) -> Result:
    """Return the result with objects whose ground points lie at y = 60."""
    words = [each[2:] for each in seen]
    tracks = Tracks(
        ids=[each[0] for each in seen],
        boxes=[[each[1] - 5, 40, each[1] + 5, 60] for each in seen],
        scores=[0.9] * len(seen),
        class_ids=[int("car" in word) for word in words],
        detection_index=[-1 if "predicted" in word else place for place, word in enumerate(words)],
        class_names=NAMES,
    )
    return Result(frame(index, period_s), Detections([], [], [], NAMES), tracks, NAMES, {})


def events(script: Sequence[Sequence[Seen]], *zones: Zone, period_s: float = 0.1) -> list[tuple[float, str, int]]:
    """Return time in s, what has happened with the zone, and id, of the frames of a script."""
    movements = Movements("door", zones or (GATE,))
    found = [each for index, seen in enumerate(script) for each in movements.update(result(index, seen, period_s))]
    assert all(each.camera == "door" for each in found)
    return [
        (round(each.time_unix_s - 1000, 3), f"{each.kind} {each.zone}" if each.zone else each.kind, each.track_id)
        for each in found
    ]


def test_an_object_enters_and_leaves() -> None:
    script = [[(7, 20.0 * index)] for index in range(11)]  # at 100 in frame 5, at 160 in frame 8, at 180 in frame 9
    assert events(script) == [(0.0, "new", 7), (0.5, "entered gate", 7), (0.9, "left gate", 7)]


def test_an_object_that_begins_inside_has_entered() -> None:
    assert events([[(1, 120.0)], [(1, 121.0)]]) == [(0.0, "new", 1), (0.0, "entered gate", 1)]


def test_an_object_on_the_border_does_not_come_and_go() -> None:
    script = [[(1, x)] for x in (90.0, 101.0, 99.0, 101.0, 98.5, 100.5, 97.5)]  # 10 % of its height are 2 px
    assert events(script) == [(0.0, "new", 1), (0.1, "entered gate", 1), (0.6, "left gate", 1)]


def test_a_fast_object_is_never_seen_inside() -> None:
    assert events([[(1, 50.0)], [(1, 190.0)]]) == [
        (0.0, "new", 1),
        (0.1, "entered gate", 1),
        (0.1, "left gate", 1),
    ]
    assert events([[(1, 20.0)], [(1, 90.0)]]) == [(0.0, "new", 1)]


def test_a_moment_in_hiding_changes_nothing() -> None:
    # It is predicted to have left, then not in the results at all, and seen again inside.
    script: list[list[Seen]] = [
        [(1, 120.0)],
        [(1, 170.0, "predicted")],
        [(1, 190.0, "predicted")],
        [],
        [],
        [(1, 125.0)],
    ]
    assert events(script) == [(0.0, "new", 1), (0.0, "entered gate", 1)]


def test_a_lost_object_has_left_when_it_was_seen_last() -> None:
    other: list[Seen] = [(2, 20.0)]
    script: list[list[Seen]] = [[(1, 120.0)], [(1, 121.0), *other], other, other, other]
    assert events(script, period_s=1.0) == [
        (0.0, "new", 1),
        (0.0, "entered gate", 1),
        (1.0, "new", 2),
        (1.0, "left gate", 1),
        (1.0, "lost", 1),
    ]


def test_classes_and_zones_are_told_apart() -> None:
    cars, left = replace(GATE, name="cars", objects=("car",)), Zone("left", ((0, 0), (60, 0), (60, 100), (0, 100)))
    script: list[list[Seen]] = [[(1, 30.0), (2, 150.0, "car")], [(1, 130.0), (2, 30.0, "car")]]
    assert events(script, cars, left) == [
        (0.0, "new", 1),
        (0.0, "entered left", 1),
        (0.0, "new", 2),
        (0.0, "entered cars", 2),
        (0.1, "left left", 1),
        (0.1, "left cars", 2),
        (0.1, "entered left", 2),
    ]


def test_a_concave_zone() -> None:
    # Two arms that the object crosses one after the other, with a gap between them at its height.
    arms = Zone("arms", ((20, 0), (180, 0), (180, 100), (140, 100), (140, 20), (60, 20), (60, 100), (20, 100)))
    script = [[(1, x)] for x in (10.0, 40.0, 100.0, 160.0, 190.0)]
    assert [what for _, what, _ in events(script, arms)] == [
        "new",
        *["entered arms", "left arms"] * 2,
    ]


def test_the_time_is_that_of_the_arrival_without_a_camera_clock() -> None:
    unknown = replace(frame(0), captured_at=None)
    later = replace(unknown, received_at=unknown.received_at + 2.5)
    assert captured_unix_s(later) - captured_unix_s(unknown) == pytest.approx(2.5, abs=0.5)


def event(number: int) -> Event:
    return Event(1000.12345, "door", "entered", "gate", number, "person")


def test_the_log_keeps_the_newest_and_writes_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_events, "KEPT", 3)
    log = EventLog(tmp_path / "events.jsonl")
    for number in range(5):
        log.add(event(number))
    assert [each.track_id for each in log.newest(10)] == [4, 3, 2]
    assert [each.track_id for each in log.newest(1)] == [4]
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert lines[0] == {
        "time": 1000.123,
        "id": 0,
        "camera": "door",
        "kind": "entered",
        "zone": "gate",
        "class_name": "person",
    }
    assert [each["id"] for each in lines] == [0, 1, 2, 3, 4]


def test_events_that_cannot_be_written_are_kept_in_memory(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "gone" / "events.jsonl")
    log.add(event(1))
    assert log.problem.startswith(f"expected to write events to {tmp_path / 'gone' / 'events.jsonl'}, but No such file")
    (tmp_path / "gone").mkdir()
    log.add(event(2))
    assert log.problem == ""
    assert [each.track_id for each in log.newest(2)] == [2, 1]
