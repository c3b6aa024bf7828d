"""Whose frame is next: files share the device by frames, cameras by age, and none starves."""

from __future__ import annotations

import pytest

from streamdet.scheduler.scheduler import Scheduler
from tests.pipeline.fakes import FakeSession, grey_frame, soon
from tests.scheduler.lanes import Reading


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


@pytest.mark.parametrize("live", [True, False], ids=["a camera that sends little", "a file that is not read yet"])
def test_a_new_file_shares_with_the_others_whoever_else_is_idle(scheduler: Scheduler, live: bool) -> None:
    session = FakeSession(held=True)
    idle = Reading(scheduler, FakeSession(), live=live)
    early = Reading(scheduler, session, depth=200, credits=200)
    for index in range(100):
        early.lane.put(grey_frame(index))
    for _ in range(40):
        session.finish()
    assert soon(lambda: session.pending == 2)
    late, begin = Reading(scheduler, session, depth=200, credits=200), len(session.batches)
    for index in range(100):
        late.lane.put(grey_frame(100 + index % 100))
    for _ in range(30):
        session.finish()
    shares = [level >= 100 for (level,) in session.batches[begin : begin + 20]]
    idle.lane.cancel()
    early.lane.cancel()
    late.lane.cancel()
    session.let_go()
    assert 8 <= sum(shares) <= 12


def test_a_file_whose_reader_paused_does_not_take_the_device_for_itself(scheduler: Scheduler) -> None:
    session = FakeSession(held=True)
    paused = Reading(scheduler, session, depth=200, credits=1)
    other = Reading(scheduler, session, depth=200, credits=200)
    for index in range(100):
        paused.lane.put(grey_frame(100 + index % 100))
        other.lane.put(grey_frame(index))
    for _ in range(40):
        session.finish()
    assert soon(lambda: session.pending == 2)
    begin = len(session.batches)
    for _ in range(100):
        paused.lane.release()
    for _ in range(30):
        session.finish()
    shares = [level >= 100 for (level,) in session.batches[begin : begin + 20]]
    paused.lane.cancel()
    other.lane.cancel()
    session.let_go()
    assert 8 <= sum(shares) <= 12


def test_each_of_two_cameras_in_step_gets_its_share_of_a_device_that_is_too_slow(scheduler: Scheduler) -> None:
    """Both send a frame for each that is computed, one always a little before the other."""
    session = FakeSession(held=True, slots=1)
    first, second = (Reading(scheduler, session, live=True, depth=1, credits=100) for _ in range(2))
    for index in range(20):
        first.lane.put(grey_frame(index))
        second.lane.put(grey_frame(100 + index))
        session.finish()
        assert soon(lambda n=index: len(session.batches) >= n + 2)  # type: ignore[misc]
    served = [level >= 100 for (level,) in session.batches[:20]]
    first.lane.cancel()
    second.lane.cancel()
    session.let_go()
    assert 5 <= sum(served) <= 15
