"""Runs in memory: what is over is not kept, and what is open is."""

from __future__ import annotations

import gc

import pytest

from streamdet.errors import InputError
from streamdet.pipeline import pipeline as pipeline_module
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from tests.pipeline.fakes import FakeSession, FakeSource


def living_runs() -> int:
    gc.collect()
    return sum(type(each) is Run for each in gc.get_objects())


def test_runs_that_could_not_be_opened_are_not_kept() -> None:
    before = living_runs()
    with Pipeline.from_session(FakeSession()) as pipeline:
        for _ in range(20):
            with pytest.raises(InputError):
                pipeline.run("nothing.mp4")
        assert living_runs() - before <= 2


def test_runs_that_were_closed_before_they_began_are_not_kept() -> None:
    before = living_runs()
    with Pipeline.from_session(FakeSession()) as pipeline:
        for _ in range(20):
            with pipeline.run(FakeSource(3)) as run:
                assert run.source.info.frame_count == 3
        del run
        assert living_runs() - before <= 2


def test_a_run_keeps_its_pipeline() -> None:
    """Else the end of the process does not close what nobody else refers to."""
    run = Pipeline.from_session(FakeSession()).run(FakeSource(3, ended=False))
    next(run)
    gc.collect()
    open_runs = [each for pipeline in pipeline_module._open for each in pipeline._runs]
    try:
        assert run in open_runs
    finally:
        run.close()
