"""Lanes of one device: what a policy decides, how lanes fail and stop, and one scheduler per device."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.scheduler.latency import Detect, Load, Policy, Skip
from streamdet.scheduler.scheduler import Scheduler
from streamdet.scheduler.shared import acquire, release
from streamdet.types import Frame
from tests.pipeline.fakes import PATIENCE_S, FakeClock, FakeSession, grey_frame, soon
from tests.pipeline.reader import Reader
from tests.scheduler.lanes import Chosen, Reading

ROOT = Path(__file__).resolve().parents[2]


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


def test_what_is_ahead_of_a_policy_that_fails_comes_before_its_error(scheduler: Scheduler) -> None:
    session, asked = FakeSession(held=True), threading.Event()

    def decide(index: int) -> Detect:
        if index < 2:
            return Detect()
        asked.set()
        raise ZeroDivisionError

    reading = Reading(scheduler, session, policy=Chosen(decide))
    for index in range(3):
        reading.lane.put(grey_frame(index))
    assert soon(lambda: session.pending == 2)
    session.finish(1)
    assert asked.wait(PATIENCE_S)
    session.let_go()
    reader = Reader(reading.frames)
    assert soon(lambda: reader.ended)
    assert isinstance(reader.error, ZeroDivisionError)
    assert [queued.frame.index for queued in reader.read] == [0, 1]


def test_images_of_two_sizes_do_not_share_a_batch() -> None:
    sizes: list[set[tuple[int, int]]] = []

    class Watching(FakeSession):
        def submitted(self, slot: Any, levels: list[int]) -> None:
            sizes.append({request.letterbox.input_hw for request in slot._requests})
            super().submitted(slot, levels)

    clock = FakeClock()
    scheduler, session = Scheduler(clock), Watching()
    policy = Chosen(lambda index: Detect(320 if index == 1 else None), sizes=(320,))
    reading = Reading(scheduler, session, policy=policy, batch=2, wait_s=10.0)
    reading.lane.put(grey_frame(0))
    reading.lane.put(grey_frame(1))
    reading.lane.end()
    assert soon(lambda: bool(sizes) or bool(clock.waiting))
    clock.advance(20)
    assert soon(lambda: sum(len(each) for each in session.batches) == 2)
    scheduler.close(time.monotonic() + 1)
    assert sizes == [{(480, 640)}, {(256, 320)}]


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


def test_one_device_has_one_scheduler_as_long_as_it_is_used() -> None:
    first, second = acquire("fake"), acquire("fake")
    assert first is second
    assert acquire("other") is not first
    for device in ("fake", "fake", "other"):
        assert release(device, time.monotonic() + 5) == 0
    again = acquire("fake")
    assert again is not first
    release("fake", time.monotonic() + 5)


def test_a_forked_child_gets_a_scheduler_of_its_own() -> None:
    script = """
import os, time, threading, sys
from streamdet.scheduler import shared
parent = shared.acquire("cpu")
child = os.fork()
if child == 0:
    mine = shared.acquire("cpu")
    os._exit(0 if mine._thread.is_alive() else 3)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, timeout=20, check=False).returncode == 0
