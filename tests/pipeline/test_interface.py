"""What everything that runs pipelines may rely on: shown on a device whose slots finish in any legal order."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.result import Result
from streamdet.scheduler.scheduler import Scheduler
from streamdet.types import Frame, UInt8Array
from tests.pipeline.fakes import PATIENCE_S, FakeClock, FakeSession, FakeSource, Outcome, fake_rows, outcome, soon

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_thread_survives() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name != "fake device"]
    assert soon(lambda: not any(thread.is_alive() for thread in left)), left


@cache
def alone(count: int) -> list[Outcome]:
    """Return what a run gives that has the device to itself."""
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(FakeSource(count)) as run:
        return [outcome(result) for result in run]


def outcomes(results: list[tuple[Run, Result]], run: Run) -> list[Outcome]:
    return [outcome(result) for each, result in results if each is run]


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), batch=st.integers(1, 4))
def test_sixteen_runs_on_one_model_each_give_what_they_give_alone(seed: int, batch: int) -> None:
    session, counts = FakeSession(seed=seed), [5 + index for index in range(16)]
    with Pipeline.from_session(session, batch=batch) as pipeline:
        runs = pipeline.runs(*[FakeSource(count, name=f"source {count}") for count in counts], at_once=16)
        results = list(runs)
    for run, count in zip(runs.all, counts, strict=True):
        assert outcomes(results, run) == alone(count)


def test_results_are_those_of_the_same_detections_and_tracker_without_a_pipeline() -> None:
    """The oracle: a plain loop over the rows of the fake."""
    from streamdet.boxes import Selection
    from streamdet.detect.tasks import TASKS
    from streamdet.letterbox import Letterbox
    from streamdet.tracking.frame_tracker import load_tracker
    from tests.pipeline.fakes import grey_frame

    tracker, expected = load_tracker("streamsort", 25), []
    letterbox, select, task = Letterbox.fit((48, 64), 640, 32), Selection(conf=0.1, iou=0.7), TASKS["detect"]
    for index in range(12):
        found = task.detections(task.kept(fake_rows(index), select), letterbox, (48, 64))
        tracks = tracker.update(grey_frame(index), found)
        expected.append((index, tracks.ids.tolist(), tracks.boxes.tolist(), tracks.class_ids.tolist()))
    assert alone(12) == expected


def test_two_thresholds_and_two_classes_share_a_model_and_a_batch() -> None:
    session, clock = FakeSession(), FakeClock()
    one, other = (FakeSource(live=True, ended=False, name=name) for name in ("one", "other"))
    with Pipeline.from_session(session, batch=2, wait_s=0.5, scheduler=Scheduler(clock)) as pipeline:
        sure = pipeline.run(one, conf=0.55, classes=["person"])
        any_car = pipeline.run(other, conf=0.05, classes=["car"])
        sure.start()
        any_car.start()
        one.feed()
        other.feed()
        persons, cars = next(sure).detections, next(any_car).detections
    assert session.batches == [[0, 0]]
    np.testing.assert_allclose(persons.scores, [0.7])
    assert persons.class_ids.tolist() == [0]
    np.testing.assert_allclose(cars.scores, [0.8, 0.6, 0.4, 0.2])
    assert cars.class_ids.tolist() == [1, 1, 1, 1]


def test_a_batch_that_is_not_full_leaves_when_it_has_waited_long_enough() -> None:
    session, clock = FakeSession(), FakeClock()
    camera = FakeSource(live=True, ended=False)
    with (
        Pipeline.from_session(session, batch=4, wait_s=0.5, scheduler=Scheduler(clock)) as pipeline,
        pipeline.run(camera) as run,
    ):
        run.start()
        camera.feed()
        assert soon(lambda: bool(clock.waiting) and run.stats.stages[0].items == 1)
        clock.advance(0.4)
        assert session.batches == []
        clock.advance(0.2)
        assert next(run).frame.index == 0
    assert session.batches == [[0]]


@pytest.mark.parametrize("backend", ["openvino", "onnx", "torch"])
def test_four_picture_sizes_in_four_threads(tiny_weights: Path, backend: str) -> None:
    """Each gives what it gives alone, in every round; a session that reshapes one model for all does not."""
    sizes = [(48, 64), (64, 48), (64, 64), (36, 64)]

    def results(pipeline: Pipeline, hw: tuple[int, int]) -> list[Outcome]:
        with pipeline.run(FakeSource(6, hw=hw), conf=0.0, size=64, max_det=20) as run:
            return [outcome(result) for result in run]

    expected = {}
    for hw in sizes:
        with Pipeline(model=tiny_weights, device="cpu", backend=backend, precision="fp32") as pipeline:
            expected[hw] = results(pipeline, hw)
    for _ in range(3):
        with (
            Pipeline(model=tiny_weights, device="cpu", backend=backend, precision="fp32") as pipeline,
            ThreadPoolExecutor(len(sizes)) as threads,
        ):
            found = dict(zip(sizes, threads.map(partial(results, pipeline), sizes), strict=True))
        assert found == expected


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


def test_a_slot_that_finishes_first_is_filled_first() -> None:
    """Nobody waits for the batch that was submitted first while another slot is free."""
    session = FakeSession(held=True)
    with Pipeline.from_session(session) as pipeline, pipeline.run(FakeSource(5)) as run:
        run.start()
        assert soon(lambda: session.batches == [[0], [1]])
        session.finish(1)
        assert soon(lambda: session.batches == [[0], [1], [2]])
        session.finish(0)
        assert [next(run).frame.index, next(run).frame.index] == [0, 1]
        session.let_go()
        assert [result.frame.index for result in run] == [2, 3, 4]


def test_live_frames_go_first_and_files_leave_them_a_slot() -> None:
    session, camera = FakeSession(held=True, slots=3), FakeSource(live=True, ended=False, first=100)
    with Pipeline.from_session(session) as pipeline:
        live, file = pipeline.run(camera), pipeline.run(FakeSource(50))
        live.start()
        file.start()
        assert soon(lambda: session.batches == [[0], [1]])  # two are computed side by side, the third slot is spare
        camera.feed()
        assert soon(lambda: session.batches[2:] == [[100]])
        camera.feed()
        assert soon(lambda: live.stats.stages[0].items == 2)
        session.finish(0)  # of the file: the slot is the camera's
        assert soon(lambda: session.batches[3:] == [[101]])
        session.let_go()
        live.cancel()
        assert [result.frame.index for result in file] == list(range(50))


def test_a_source_whose_read_never_returns_is_left_behind_and_counted() -> None:
    source = FakeSource(3, hangs=True)
    with Pipeline.from_session(FakeSession()) as pipeline:
        run = pipeline.run(source)
        assert [next(run).frame.index for _ in range(3)] == [0, 1, 2]
        run.close(timeout_s=0.05)
        assert run.stats.abandoned == 1
        assert list(run) == []
        assert pipeline.abandoned == 1
    source.answer.set()
    assert soon(lambda: source.closed), "the thread releases its source when the call returns after all"


def test_stop_does_not_wait_for_a_source_that_never_answers() -> None:
    source = FakeSource(3, hangs=True)
    with Pipeline.from_session(FakeSession()) as pipeline:
        run = pipeline.run(source)
        indices = [next(run).frame.index for _ in range(2)]
        run.stop()
        indices += [result.frame.index for result in run]
        assert indices == [0, 1, 2]
        source.answer.set()


def test_the_end_of_the_process_does_not_wait_for_a_source_that_never_answers() -> None:
    script = """
        from tests.pipeline.fakes import FakeSession, FakeSource
        from streamdet.pipeline.pipeline import Pipeline
        run = Pipeline.from_session(FakeSession()).run(FakeSource(1, hangs=True))
        print(next(run).frame.index)
    """
    lines = "\n".join(line.strip() for line in script.splitlines())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, env=environment, timeout=PATIENCE_S, check=True
    )
    assert ended.stdout == "0\n"


def test_a_run_that_fails_keeps_its_error_and_the_others_go_on() -> None:
    broken = OSError("the cable is out")
    with Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs(FakeSource(5, fails=broken), FakeSource(20))
        results: list[tuple[Run, Result]] = []
        with pytest.raises(ExceptionGroup, match="1 of 2 runs failed") as caught:
            results.extend(runs)
        failed, whole = runs.all
        assert caught.value.exceptions == (broken,)
        assert failed.error is broken
        assert whole.error is None
        assert outcomes(results, failed) == alone(5)
        assert outcomes(results, whole) == alone(20)


def test_a_source_that_cannot_be_opened_fails_alone(tmp_path: Path) -> None:
    with Pipeline.from_session(FakeSession()) as pipeline:
        runs = pipeline.runs(tmp_path / "nothing.mp4", FakeSource(4))
        results: list[tuple[Run, Result]] = []
        with pytest.raises(ExceptionGroup, match="1 of 2 runs failed"):
            results.extend(runs)
        assert "nothing.mp4" in str(runs.all[0].error)
        assert outcomes(results, runs.all[1]) == alone(4)


def test_a_device_that_fails_ends_the_runs_of_that_batch_and_no_other() -> None:
    session = FakeSession()
    session.failing = {7}
    with Pipeline.from_session(session) as pipeline:
        one, other = pipeline.run(FakeSource(20)), pipeline.run(FakeSource(20, first=100))
        received: list[Result] = []
        with pytest.raises(RuntimeError, match="the device is gone"):
            received.extend(one)
        assert [result.frame.index for result in received] == list(range(7))
        assert [result.frame.index for result in other] == list(range(100, 120))


def test_files_take_turns() -> None:
    with Pipeline.from_session(FakeSession()) as pipeline:
        names = [run.source_id for run, _ in pipeline.runs(FakeSource(3, name="a"), FakeSource(2, name="b"))]
    assert names == ["a", "b", "a", "b", "a"]


def test_a_camera_is_added_and_another_cancelled_while_others_go_on() -> None:
    session = FakeSession()
    first, second, third = (FakeSource(live=True, ended=False, name=name) for name in ("first", "second", "third"))
    with Pipeline.from_session(session) as pipeline:
        runs = pipeline.runs(first, second)
        first.feed()
        run, result = next(runs)
        assert (run.source_id, result.frame.index) == ("first", 0)
        added = runs.add(third)
        third.feed()
        run, result = next(runs)
        assert (run, result.frame.index) == (added, 0)
        cancelled = runs.all[1]
        cancelled.cancel()
        second.feed()
        first.feed()
        run, result = next(runs)
        assert (run.source_id, result.frame.index) == ("first", 1)
        first.end()
        third.end()
        assert list(runs) == []
        assert cancelled.error is None


def test_closing_while_batches_are_in_flight_gives_slots_back_when_the_device_is_done() -> None:
    session = FakeSession(held=True)
    pipeline = Pipeline.from_session(session)
    run = pipeline.run(FakeSource(10))
    run.start()
    assert soon(lambda: session.pending == 2)
    pipeline.close(timeout_s=0.05)
    assert list(run) == []
    assert "close" not in session.log
    session.let_go()
    assert soon(lambda: session.log.count("close") == 2)


def test_a_cancelled_run_gives_its_slots_to_the_others() -> None:
    session = FakeSession(held=True)
    with Pipeline.from_session(session) as pipeline:
        cancelled, other = pipeline.run(FakeSource(10)), pipeline.run(FakeSource(10))
        cancelled.start()
        assert soon(lambda: session.pending == 2)
        cancelled.cancel()
        assert list(cancelled) == []
        session.let_go()
        assert [outcome(result) for result in other] == alone(10)


def test_a_state_in_mid_run_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    whole = alone(40)
    state = tmp_path / "state"
    with Pipeline.from_session(FakeSession()) as pipeline:
        with pipeline.run(FakeSource(17), state=state) as run:
            begun = [outcome(result) for result in run]
        with pipeline.run(FakeSource(23, first=17), state=state) as run:
            rest = [outcome(result) for result in run]
    assert begun + rest == whole


def test_a_state_in_the_middle_of_a_pan_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    """The camera moves 3 px a frame over a still texture, and someone walks; the hand-over is at any frame."""
    texture = np.random.default_rng(0).integers(0, 256, (30, 80, 3), np.uint8).repeat(8, 0).repeat(8, 1)

    def panned(index: int) -> UInt8Array:
        return np.ascontiguousarray(texture[:, 3 * index : 3 * index + 320])

    def walker(frame: Frame) -> list[list[float]]:
        return [[100 + 2.0 * frame.index, 80, 140 + 2.0 * frame.index, 180]] if frame.index % 7 else []

    def source(first: int, count: int) -> FakeSource:
        return FakeSource(count, first=first, hw=(240, 320), image=panned)

    def results(pipeline: Pipeline, first: int, count: int, **options: Any) -> list[tuple[Any, ...]]:
        with pipeline.run(source(first, count), **options) as run:
            seen = [result for result in run if result.tracks.ids.size]
        return [(*outcome(r), np.asarray(r.camera_motion).tolist(), r.trails[1].tolist()) for r in seen]

    with Pipeline.from_session(FakeSession(find=walker)) as pipeline:
        whole = results(pipeline, 1, 60)
        assert max(abs(np.array(row[4])[0, 2]) for row in whole) > 2  # the pan is seen
        for handover in (13, 21, 40):
            state = tmp_path / f"state {handover}"
            begun = results(pipeline, 1, handover, state=state)
            assert begun + results(pipeline, handover + 1, 60 - handover, state=state) == whole


def test_the_state_of_a_run_can_be_taken_at_any_moment() -> None:
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(FakeSource(30)) as run:
        next(run)
        early = run.state()
        list(run)
        late = run.state()
    assert early.clock is not None and late.clock is not None
    assert early.clock.updated.index < late.clock.updated.index == 29
    assert late.class_names == ("person", "car")
