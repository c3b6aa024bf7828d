"""Runs that share a model: each gives what it gives alone, whichever slot of the device finishes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.boxes import Selection
from streamdet.detect.tasks import DetectTask
from streamdet.letterbox import Letterbox
from streamdet.pipeline.pipeline import Pipeline
from streamdet.scheduler.scheduler import Scheduler
from streamdet.tracking.frame_tracker import load_tracker
from tests.pipeline.fakes import FakeClock, FakeSession, FakeSource, fake_rows, grey_frame, soon
from tests.pipeline.outcomes import Outcome, alone, outcome, outcomes

pytestmark = pytest.mark.usefixtures("no_thread_survives")


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
    tracker, expected = load_tracker("streamsort", 25), []
    letterbox, select, task = Letterbox.fit((48, 64), 640, 32), Selection(conf=0.1, iou=0.7), DetectTask()
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
