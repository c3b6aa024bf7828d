"""Readers that pause: what waits for them, what is dropped, and what others get meanwhile."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from streamdet.pipeline.pipeline import Pipeline
from streamdet.result import Result
from streamdet.types import UInt8Array
from tests.pipeline.fakes import PATIENCE_S, FakeSession, FakeSource, soon
from tests.pipeline.outcomes import alone, outcome
from tests.pipeline.reader import Reader

pytestmark = pytest.mark.usefixtures("no_thread_survives")


def test_a_reader_that_stops_takes_no_slot_from_others_and_misses_nothing() -> None:
    session = FakeSession()
    with Pipeline.from_session(session) as pipeline:
        slow, other = pipeline.run(FakeSource(200, name="slow")), pipeline.run(FakeSource(40, name="other", first=0))
        first = [outcome(next(slow)) for _ in range(3)]
        assert [outcome(result) for result in other] == alone(40)
        assert soon(lambda: session.pending == 0)
        held = slow.stats.detected
        assert 3 <= held < 40
        rest = [outcome(result) for result in slow]
    assert first + rest == alone(200)
    assert slow.stats.dropped == 0


def test_pictures_of_many_sizes_all_come_out_for_a_reader_that_pauses() -> None:
    """Else slots of one size are closed for another although a frame that waits needs them."""
    sizes = [32 * (number + 1) for number in range(20)]

    def picture(index: int) -> UInt8Array:
        return np.full((sizes[index], 640, 3), index, np.uint8)

    session = FakeSession()
    with Pipeline.from_session(session) as pipeline, pipeline.run(FakeSource(20, image=picture)) as run:
        run.start()
        # Six results wait to be read, two pictures behind them, and the decoder has prepared one more.
        assert soon(lambda: run.stats.stages[0].items == 9 and session.log.count("make 288x640") == 1)
        reader = Reader(run)
        assert soon(lambda: reader.ended), f"hangs after {len(reader.read)} of 20"
        assert [result.frame.index for result in reader.read] == list(range(20))


def test_a_live_reader_that_stops_finds_the_newest_result_and_the_drops_counted() -> None:
    session, camera = FakeSession(), FakeSource(live=True, ended=False)
    with Pipeline.from_session(session) as pipeline, pipeline.run(camera) as run:
        camera.feed()
        assert next(run).frame.index == 0
        for number in range(1, 10):
            camera.feed()
            assert soon(lambda n=number: run.stats.detected == n + 1)  # type: ignore[misc]
        assert soon(lambda: run.stats.dropped == 8)
        assert next(run).frame.index == 9
        camera.feed()
        assert next(run).frame.index == 10
        assert run.stats.dropped == 8
        assert run.stats.results == 3


def test_a_live_reader_that_pauses_finds_new_results_where_frames_are_predicted() -> None:
    camera = FakeSource(live=True, ended=False)
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(camera, every="auto") as run:
        run.start()
        for number in range(40):
            camera.feed()
            assert soon(lambda n=number: run.stats.stages[0].items == n + 1)  # type: ignore[misc]
            soon_s = time.monotonic() + 0.02
            while time.monotonic() < soon_s and run.stats.detected < number + 1:
                time.sleep(0.001)
        assert next(run).frame.index >= 20


def test_frames_that_wait_and_then_do_not_are_each_answered_before_the_next_one() -> None:
    """After a hiccup, in which frames gathered in all slots, no result waits for the frame that follows it."""
    session, camera = FakeSession(held=True), FakeSource(live=True, ended=False)
    with Pipeline.from_session(session) as pipeline, pipeline.run(camera) as run:
        run.start()
        for count in (1, 2):
            camera.feed()
            assert soon(lambda n=count: session.pending == n)  # type: ignore[misc]
        camera.feed()  # waits for a slot
        assert soon(lambda: run.stats.stages[0].items == 3)
        session.let_go()
        assert soon(lambda: run.stats.dropped == 2)
        indices = [next(run).frame.index]
        for _ in range(5):
            camera.feed()
            indices.append(next(run).frame.index)  # would wait for ever where a result waits for the next frame
    assert indices == [2, 3, 4, 5, 6, 7]


def test_frames_of_a_live_run_do_not_grow_old_before_a_slow_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing holds the first frame while twenty come: of those that go on after it, few are old."""
    gate, drawn, begun = threading.Event(), list[int](), threading.Event()

    def slow(result: Result) -> Result:
        begun.set()
        gate.wait()
        drawn.append(result.frame.index)
        return result

    monkeypatch.setattr("streamdet.pipeline.line.with_drawing", slow)
    camera = FakeSource(live=True, ended=False)
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(camera, draw=True) as run:
        run.start()
        camera.feed()
        assert begun.wait(PATIENCE_S)
        for number in range(1, 21):
            camera.feed()
            assert soon(lambda n=number: run.stats.detected + run.stats.dropped >= n)  # type: ignore[misc]
        gate.set()
        assert soon(lambda: 20 in drawn)
    assert sum(index < 16 for index in drawn[1:]) <= 3
