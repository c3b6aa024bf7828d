"""A run that goes on where another one stood: as if nothing had happened, or not at all."""

import io
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.errors import InputError
from streamdet.tracking.frame_tracker import FrameTracker, load_tracker
from streamdet.tracking.state import Instant, MediaClock, RunState, from_arrays, to_arrays
from streamdet.types import Arrays, Detections, Frame
from trackers.config import TRACKERS

from .street import NAMES, RATE, STEPS, Step, outcome, street, undisturbed


def through_file(state: RunState) -> RunState:
    """Return what a file keeps of `state`."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **to_arrays(state))
    file.seek(0)
    return from_arrays(dict(np.load(file, allow_pickle=False)))


def resumed(name: str, state: RunState) -> FrameTracker:
    tracker = load_tracker(name, RATE)
    tracker.restore(state, NAMES)
    return tracker


@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_asking_for_the_state_changes_nothing(name: str) -> None:
    tracker = load_tracker(name, RATE)
    assert [outcome(tracker, step) for step in street()] == undisturbed(name)[0]


@pytest.mark.parametrize("name", sorted(TRACKERS))
@settings(max_examples=4)
@given(first=st.integers(1, STEPS - 2), second=st.integers(1, STEPS - 2))
def test_two_handovers_anywhere_change_nothing(name: str, first: int, second: int) -> None:
    """Standing, in mid-pan, while someone is hidden, and after frames that nobody detected in."""
    first, second = sorted((first, second))
    outcomes, states = undisturbed(name)
    tracker = resumed(name, through_file(states[first]))
    for k in range(first + 1, STEPS):
        assert outcome(tracker, street()[k]) == outcomes[k]
        if k == second:
            tracker = resumed(name, through_file(tracker.state(NAMES)))


@pytest.mark.parametrize("method", ["ecc", "orb", "sift"])
def test_every_method_goes_on_in_mid_pan(tmp_path: Path, method: str) -> None:
    path = tmp_path / "tracker.yaml"
    path.write_text(f"tracker_type: botsort\ngmc_method: {method}\n")
    begun, other = load_tracker(path, RATE), load_tracker(path, RATE)
    for step in street()[:14]:
        outcome(begun, step)
    other.restore(through_file(begun.state(NAMES)), NAMES)
    for step in street()[14:22]:
        assert outcome(other, step) == outcome(begun, step)


def test_another_method_begins_with_a_key_frame_of_its_own(tmp_path: Path) -> None:
    """Its views have another size; the tracks go on."""
    path = tmp_path / "tracker.yaml"
    path.write_text("tracker_type: streamsort\ngmc_method: orb\n")
    state = undisturbed("streamsort")[1][14]
    tracker = load_tracker(path, RATE)
    tracker.restore(state, NAMES)
    frame, found = street()[15]
    assert found is not None
    tracks = tracker.update(frame, found)
    np.testing.assert_array_equal(tracker.camera_motion, np.eye(2, 3))
    assert set(tracks.ids.tolist()) <= {1, 2, 3}


def test_appearance_goes_on(write_onnx: Callable[..., Path]) -> None:
    begun, other = (load_tracker("streamsort", RATE, reid=write_onnx()) for _ in range(2))
    for step in street()[:12]:
        outcome(begun, step)
    other.restore(through_file(begun.state(NAMES)), NAMES)
    assert [outcome(other, step) for step in street()[12:20]] == [outcome(begun, step) for step in street()[12:20]]


def part(steps: list[Step], source_id: str) -> list[Step]:
    """Return `steps` as a recording of their own, whose time and indices begin at 0."""
    start = steps[0][0].index
    return [
        (replace(frame, index=frame.index - start, pts=frame.pts - start, source_id=source_id), found)
        for frame, found in steps
    ]


@pytest.mark.parametrize("rate", [RATE, Fraction(30), None])
@pytest.mark.parametrize("second", ["street", "part2"])
@pytest.mark.parametrize("cut", [14, 15])
def test_the_next_part_of_a_recording_follows_by_one_period(rate: Fraction | None, second: str, cut: int) -> None:
    """Its time starts over, whether its name is another or not; trails, of less than 2 s here, go on.

    Where no rate is known, the period is that of 30 Hz. The first part ends with a frame that nobody detected in, or
    with another one.
    """
    assert street()[13][1] is None and street()[14][1] is not None
    period_s = 1 / (rate or Fraction(30))
    steps = [(replace(frame, index=k, pts=k, time_base=period_s), found) for k, (frame, found) in enumerate(street())]
    whole, first, last = (load_tracker("streamsort", rate) for _ in range(3))
    outcomes = [outcome(whole, step) for step in steps]
    for step in part(steps[:cut], "street"):
        outcome(first, step)
    last.restore(through_file(first.state(NAMES)), NAMES)
    assert [outcome(last, step) for step in part(steps[cut:], second)] == outcomes[cut:]


def test_trails_of_a_live_camera_are_as_old_as_it_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go back by 2 s; of the time before, 0.95 s are left when the first frame after 1.01 s comes."""
    image, person = street()[0][0].image, Detections([[100, 100, 140, 200]], [0.9], [0])
    begun, again = (load_tracker("bytetrack", RATE) for _ in range(2))
    for k in range(60):
        begun.update(Frame(k, k, 1 / RATE, image, "camera", 0.0), person)
    assert len(begun.trails[1]) == 51
    state = begun.state(NAMES)
    monkeypatch.setattr("time.time", lambda: state.saved_at_unix_s + 1.01)
    again.restore(state, NAMES, live=True)
    again.update(Frame(0, 10**6, 1 / RATE, image, "camera", 0.0), person)
    assert len(again.trails[1]) == 24 + 1


def damaged(state: RunState, key: str, array: npt.ArrayLike | None) -> RunState:
    """Return `state` with the array SECTION/NAME replaced, or left out."""
    others = {other: values for other, values in to_arrays(state).items() if other != key}
    return from_arrays(others if array is None else {**others, key: np.asarray(array)})


@pytest.mark.parametrize(
    ("key", "array"),
    [
        ("tracker/votes", None),
        ("tracker/started", None),
        ("tracker/ids", np.zeros(3)),
        ("camera_motion/moved", None),
        ("camera_motion/moved", np.full((3, 3), np.nan)),
        ("camera_motion/boxes", np.zeros((2, 3), np.float32)),
        ("camera_motion/grey", None),
        ("camera_motion/background", np.zeros((5, 5), np.uint8)),
        ("camera_motion/texture", np.zeros((80, 160), np.float32)),
        ("trails/points", None),
        ("trails/points", np.zeros((1, 3))),
    ],
)
def test_a_state_is_taken_as_a_whole_or_not_at_all(key: str, array: npt.ArrayLike | None) -> None:
    outcomes, states = undisturbed("streamsort")
    tracker = resumed("streamsort", states[20])
    with pytest.raises(InputError, match=r"^expected the state of a (run|tracker), found "):
        tracker.restore(damaged(states[12], key, array), NAMES)
    assert [outcome(tracker, step) for step in street()[21:]] == outcomes[21:]


def test_sections_of_result_stages_come_back() -> None:
    stages: dict[str, Arrays] = {"zones": {"entered": np.arange(3)}, "counters/a": {"counts": np.ones((2, 2))}}
    state = through_file(RunState(kind="sort", saved_at_unix_s=0.5, tracker={}, stages=stages))
    assert {name: {key: array.tolist() for key, array in arrays.items()} for name, arrays in state.stages.items()} == {
        "zones": {"entered": [0, 1, 2]},
        "counters/a": {"counts": [[1, 1], [1, 1]]},
    }


moments = st.builds(Instant, st.fractions(min_value=-(2**70), max_value=2**70), st.integers(0, 2**70))


@given(
    names=st.lists(st.text(max_size=5), max_size=4),
    saved_at_s=st.floats(0, 1e12),
    clock=st.none() | st.builds(MediaClock, st.none() | st.text(max_size=5), moments, moments),
)
def test_numbers_and_words_come_back_exactly(names: list[str], saved_at_s: float, clock: MediaClock | None) -> None:
    state = RunState(kind="sort", class_names=tuple(names), saved_at_unix_s=saved_at_s, clock=clock, tracker={})
    read = through_file(state)
    assert (read.class_names, read.saved_at_unix_s, read.clock) == (tuple(names), saved_at_s, clock)


def test_a_state_asked_for_during_an_update_is_that_after_it(write_onnx: Callable[..., Path]) -> None:
    """The update asks what detections look like; meanwhile another thread asks for the state."""
    tracker, steps = load_tracker("streamsort", RATE, reid=write_onnx()), street()
    outcome(tracker, steps[0])
    states: list[RunState] = []
    thread = threading.Thread(target=lambda: states.append(tracker.state(NAMES)))
    model: Any = tracker._appearance
    embed = model.embed

    def embed_while_another_asks(*arguments: Any) -> Any:
        if not thread.ident:
            thread.start()
            thread.join(timeout=0.2)
            assert states == []
        return embed(*arguments)

    model.embed = embed_while_another_asks
    outcome(tracker, steps[1])
    thread.join()
    assert states[0].clock is not None
    assert states[0].clock.updated == Instant.from_frame(steps[1][0])
    again = load_tracker("streamsort", RATE, reid=write_onnx())
    again.restore(states[0], NAMES)
    assert outcome(again, steps[2]) == outcome(tracker, steps[2])
