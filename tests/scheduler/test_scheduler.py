"""Lanes of one device: whose frame is next, what a policy decides, and which slots stay ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.detect.detector import Detector
from streamdet.options import DetectOptions
from streamdet.scheduler.lane import Lane, LaneOptions, QueuedFrame
from streamdet.scheduler.latency import Detect, Load, Policy, Skip
from streamdet.scheduler.scheduler import KEPT_SIZES, Scheduler
from streamdet.scheduler.shared import acquire, release
from streamdet.scheduler.threads import Channel
from streamdet.types import Frame
from tests.pipeline.fakes import FakeSession, grey_frame, soon


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler()
    yield scheduler
    assert scheduler.close(time.monotonic() + 5) == 0


class Chosen:
    """Decides by a function of the frame's index."""

    def __init__(self, decide: Callable[[int], Detect | Skip], sizes: Sequence[int] = ()) -> None:
        self.sizes = sizes
        self.loads: list[Load] = []
        self._decide = decide

    def admit(self, frame: Frame, now_s: float, load: Load) -> Detect | Skip:
        self.loads.append(load)
        return self._decide(frame.index)


class Reading:
    """A lane with its reader."""

    def __init__(self, scheduler: Scheduler, session: FakeSession, *, batch: int = 1, **options: object) -> None:
        detector = Detector.from_session(session, DetectOptions())
        self.frames: Channel[QueuedFrame] = Channel(left=lambda: self.lane.release())
        self.lane: Lane = scheduler.lane(detector, self.frames, LaneOptions(batch=batch, **options))  # type: ignore[arg-type]

    def put_all(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self.lane.put(frame)
        self.lane.end()

    def read(self) -> list[tuple[int, bool]]:
        return [(queued.frame.index, queued.rows is not None) for queued in self.frames]


def run_through(scheduler: Scheduler, session: FakeSession, frames: Sequence[Frame], policy: Policy) -> Reading:
    reading = Reading(scheduler, session, live=False, policy=policy)
    threading.Thread(target=reading.put_all, args=(frames,)).start()
    return reading


@given(
    seed=st.integers(0, 2**32 - 1),
    decisions=st.lists(st.sampled_from([Detect(), Skip.PREDICT, Skip.DROP]), max_size=30),
)
def test_frames_come_in_order_the_predicted_without_rows_and_the_dropped_not_at_all(
    seed: int, decisions: list[Detect | Skip]
) -> None:
    scheduler, session = Scheduler(), FakeSession(seed=seed)
    frames = [grey_frame(index) for index in range(len(decisions))]
    reading = run_through(scheduler, session, frames, Chosen(decisions.__getitem__))
    expected = [(i, isinstance(each, Detect)) for i, each in enumerate(decisions) if each is not Skip.DROP]
    assert reading.read() == expected
    assert reading.lane.dropped == decisions.count(Skip.DROP)
    assert reading.lane.time.items == sum(isinstance(each, Detect) for each in decisions)
    scheduler.release(session, session.close)
    assert scheduler.close(time.monotonic() + 5) == 0


def test_predicted_frames_do_not_wait_for_the_next_that_is_detected_in(scheduler: Scheduler) -> None:
    session = FakeSession(held=True)
    policy = Chosen(lambda index: Detect() if index % 8 == 0 else Skip.PREDICT)
    reading = Reading(scheduler, session, live=False, policy=policy, credits=20)
    for index in range(4):
        reading.lane.put(grey_frame(index))
    assert soon(lambda: session.pending == 1)
    session.finish()
    assert [next(reading.frames).frame.index for _ in range(4)] == [0, 1, 2, 3]
    reading.lane.cancel()


def test_a_policy_is_asked_when_a_slot_is_free_and_told_the_load(scheduler: Scheduler) -> None:
    session, policy = FakeSession(held=True), Chosen(lambda _: Detect())
    reading = Reading(scheduler, session, live=True, depth=4, policy=policy)
    for index in range(5):
        reading.lane.put(grey_frame(index))
        assert soon(lambda n=index: len(policy.loads) == min(n + 1, 2))  # type: ignore[misc]
    assert policy.loads == [Load(1, 0), Load(1, 1)]
    session.finish()
    assert soon(lambda: policy.loads[2:] == [Load(3, 1)])
    session.let_go()
    reading.lane.end()
    assert [index for index, _ in reading.read()] == [0, 1, 2, 3, 4]


def test_a_policy_may_ask_for_a_smaller_input_whose_slots_are_made_before(scheduler: Scheduler) -> None:
    session = FakeSession()
    policy = Chosen(lambda index: Detect(320 if index == 1 else None), sizes=(320,))
    reading = run_through(scheduler, session, [grey_frame(index) for index in range(3)], policy)
    inputs = [queued.letterbox.input_hw for queued in reading.frames]
    assert inputs == [(480, 640), (256, 320), (480, 640)]
    assert session.log[:2] == ["make 480x640", "make 256x320"]


@pytest.mark.parametrize("decide", [lambda _: 1 / 0, lambda _: Detect(96)], ids=["fails", "asks for another size"])
def test_a_policy_that_fails_ends_its_own_lane(scheduler: Scheduler, decide: Callable[[int], Detect]) -> None:
    session = FakeSession()
    good = run_through(scheduler, session, [grey_frame(index) for index in range(9)], Chosen(lambda _: Detect()))
    bad = Reading(scheduler, session, live=True, policy=Chosen(decide, sizes=(64,)))
    bad.lane.put(grey_frame(0))
    with pytest.raises((ZeroDivisionError, ValueError)):
        next(bad.frames)
    assert not bad.lane.put(grey_frame(1))
    assert [index for index, _ in good.read()] == list(range(9))


def test_slots_of_a_session_stay_while_another_lane_uses_them(scheduler: Scheduler) -> None:
    session = FakeSession()
    first, second = (Reading(scheduler, session, live=False) for _ in range(2))
    first.lane.put(grey_frame(0))
    first.lane.end()
    assert first.read() == [(0, True)]
    scheduler.release(session)
    second.lane.put(grey_frame(1))
    second.lane.end()
    assert second.read() == [(1, True)]
    assert session.log == ["make 480x640"]
    scheduler.release(session)
    assert session.log == ["make 480x640", "close", "close"]


def test_files_share_the_device_by_frames(scheduler: Scheduler) -> None:
    """One that comes later gets its half from then on, not what the other had before."""
    session = FakeSession(held=True)
    early = Reading(scheduler, session, live=False, depth=50, credits=50)
    early.put_all([grey_frame(index) for index in range(40)])
    for _ in range(20):
        session.finish()
    assert soon(lambda: len(session.batches) == 22)
    late = Reading(scheduler, session, live=False, depth=50, credits=50)
    late.put_all([grey_frame(100 + index) for index in range(10)])
    session.let_go()
    early.read()
    late.read()
    after = [level for (level,) in session.batches[22:40]]
    assert 8 <= sum(level >= 100 for level in after) <= 10


def test_the_oldest_capture_is_served_first(scheduler: Scheduler) -> None:
    session = FakeSession(held=True)
    busy, first, second = (Reading(scheduler, session, live=True) for _ in range(3))
    busy.lane.put(grey_frame(50))
    assert soon(lambda: session.pending == 1)
    busy.lane.put(grey_frame(51))
    assert soon(lambda: session.pending == 2)
    older, newer = grey_frame(1), grey_frame(2)
    second.lane.put(newer)
    first.lane.put(older)
    session.finish()
    assert soon(lambda: session.batches[2:] == [[1]])
    session.finish()
    assert soon(lambda: session.batches[3:] == [[2]])
    session.let_go()


def test_slots_of_a_few_sizes_stay_ready_and_those_not_used_for_longest_go(scheduler: Scheduler) -> None:
    session = FakeSession()
    sizes = [64, 96, 128, 64, 160, 192, 64, 96]
    frames = [grey_frame(index, hw=(side, 640)) for index, side in enumerate(sizes)]
    reading = Reading(scheduler, session, live=False, depth=1, credits=1)
    for frame in frames:
        reading.lane.put(frame)
        next(reading.frames)
    made = [entry for entry in session.log if entry != "close"]
    assert made == [f"make {side}x640" for side in (64, 96, 128, 160, 192, 96)]
    # 96 went before 192 came, while 64, used again since, stayed; 128 went for 96.
    assert session.log.count("close") == 2 * 2
    assert KEPT_SIZES == 4
    reading.lane.cancel()


def test_one_device_has_one_scheduler_as_long_as_it_is_used() -> None:
    first, second = acquire("fake"), acquire("fake")
    assert first is second
    assert acquire("other") is not first
    for device in ("fake", "fake", "other"):
        assert release(device, time.monotonic() + 5) == 0
    again = acquire("fake")
    assert again is not first
    release("fake", time.monotonic() + 5)


def test_slots_that_cannot_be_made_fail_the_run_that_wanted_them(scheduler: Scheduler) -> None:
    class Small(FakeSession):
        def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[object]:  # type: ignore[override]
            raise MemoryError("too large")

    reading = Reading(scheduler, Small(), live=False)
    with pytest.raises(MemoryError, match="too large"):
        reading.lane.put(grey_frame(0))


def test_a_signal_handler_may_stop_a_lane_whatever_its_thread_is_doing(scheduler: Scheduler) -> None:
    """A handler runs between two lines of the main thread, which may hold the scheduler's lock there."""
    reading = Reading(scheduler, FakeSession(), live=False)
    with scheduler._lock:
        reading.lane.stop()
    assert reading.read() == []


def test_a_scheduler_that_fails_ends_all_runs(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (Reading(scheduler, FakeSession(), live=False) for _ in range(2))
    second.lane.put(grey_frame(0))
    assert next(second.frames).frame.index == 0

    def broken() -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(scheduler, "_next", broken)
    first.lane.put(grey_frame(0))
    for reading in (first, second, Reading(scheduler, FakeSession(), live=False)):
        with pytest.raises(ZeroDivisionError, match="a defect"):
            reading.read()
