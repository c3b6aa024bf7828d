"""How runs end: with an error, although their source or the device never answers, and with others going on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.result import Result
from tests.pipeline.fakes import PATIENCE_S, FakeSession, FakeSource, soon
from tests.pipeline.outcomes import alone, outcomes
from tests.pipeline.reader import Reader

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("no_thread_survives")


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


def test_a_file_that_does_not_answer_does_not_keep_the_results_of_another() -> None:
    source = FakeSource(3, hangs=True)
    with Pipeline.from_session(FakeSession()) as pipeline:
        reader = Reader(pipeline.runs(source, FakeSource(40)))
        try:
            assert soon(lambda: len(reader.read) == 43), f"{len(reader.read)} of 43"
        finally:
            source.answer.set()


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
