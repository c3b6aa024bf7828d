"""Slots on the device: which stay ready, which are closed, and what happens when they come late."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from streamdet.pipeline.pipeline import Pipeline
from streamdet.scheduler.scheduler import KEPT_SIZES, Scheduler
from streamdet.types import Frame
from tests.pipeline.fakes import FakeSession, FakeSource, grey_frame, soon
from tests.pipeline.reader import Reader
from tests.scheduler.lanes import Reading


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


def test_slots_that_cannot_be_made_fail_the_run_that_wanted_them(scheduler: Scheduler) -> None:
    class Small(FakeSession):
        def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[object]:  # type: ignore[override]
            raise MemoryError("too large")

    reading = Reading(scheduler, Small(), live=False)
    with pytest.raises(MemoryError, match="too large"):
        reading.lane.put(grey_frame(0))


def test_slots_that_are_made_while_the_pipeline_closes_are_closed() -> None:
    session = FakeSession()
    pipeline = Pipeline.from_session(session)
    run = pipeline.run(FakeSource(3))
    with session.making:
        run.start()
        assert soon(lambda: pipeline._scheduler._making.locked())
        pipeline.close(timeout_s=0.05)
        assert not session.closed, "the session was closed while slots were being made"
    assert soon(lambda: session.log.count("make 480x640") == 1)
    assert soon(lambda: session.log.count("close") == 2)


def test_a_frame_that_comes_after_the_pipeline_was_closed_makes_no_slots() -> None:
    answer = threading.Event()

    class Late(FakeSource):
        """Answers its only read late, with a frame."""

        def __next__(self) -> Frame:
            if self.read:
                raise StopIteration
            self.read += 1
            answer.wait()
            return grey_frame(0)

    session, source = FakeSession(), Late()
    pipeline = Pipeline.from_session(session)
    run = pipeline.run(source)
    run.start()
    assert soon(lambda: source.read == 1)
    pipeline.close(timeout_s=0.05)
    answer.set()
    assert soon(lambda: source.closed)
    assert session.closed
    assert session.log == []


def test_a_slot_that_cannot_be_closed_does_not_end_the_device_for_all() -> None:
    class Stubborn(FakeSession):
        def new_slots(self, input_hw: tuple[int, int], batch: int) -> list[Any]:
            slots: list[Any] = super().new_slots(input_hw, batch)
            for slot in slots:
                slot.close = lambda: 1 / 0
            return slots

    scheduler, broken = Scheduler(), Stubborn(held=True)
    reading = Reading(scheduler, broken)
    reading.lane.put(grey_frame(0))
    assert soon(lambda: broken.pending == 1)
    reading.lane.put(grey_frame(1))
    assert soon(lambda: broken.pending == 2)
    reading.lane.cancel()
    scheduler.release(broken)
    broken.let_go()
    good = Reading(scheduler, FakeSession())
    assert soon(lambda: not scheduler._in_flight)
    good.lane.put(grey_frame(0))
    good.lane.end()
    reader = Reader(good.frames)
    assert soon(lambda: reader.ended)
    scheduler.close(time.monotonic() + 0.5)
