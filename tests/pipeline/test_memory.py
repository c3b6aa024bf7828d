"""Runs in memory: what is over is not kept, and what is open is."""

from __future__ import annotations

import gc
from functools import partial

import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.pipeline import line
from streamdet.pipeline import pipeline as pipeline_module
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.scheduler.lane_options import LaneOptions
from streamdet.types import UInt8Array
from tests.pipeline.fakes import FakeSession, FakeSource, soon


def living_runs() -> int:
    gc.collect()
    return sum(type(each) is Run for each in gc.get_objects())


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("draw", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
def test_images_in_flight_are_bounded_in_bytes(
    monkeypatch: pytest.MonkeyPatch, images: int, draw: bool, batch: int
) -> None:
    """One that is larger than the bound goes alone. One more is decoded meanwhile, and one may just be handed over."""
    max_bytes = 48 * 64 * 3 * images if images > 1 else 1
    monkeypatch.setattr(line, "LaneOptions", partial(LaneOptions, max_bytes=max_bytes))
    read: list[int] = []
    ahead: list[int] = []

    def image(index: int) -> UInt8Array:
        ahead.append(index + 1 - len(read))
        return np.full((48, 64, 3), index, np.uint8)

    source = FakeSource(20, image=image)
    with Pipeline.from_session(FakeSession(), batch=batch) as pipeline, pipeline.run(source, draw=draw) as run:
        for result in run:
            read.append(result.frame.index)
            assert soon(lambda: source.read >= min(20, len(read) + images + 1))
    assert read == list(range(20))
    assert max(ahead) <= images + 2


def test_a_live_run_drops_images_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "LaneOptions", partial(LaneOptions, max_bytes=1))
    session, source = FakeSession(held=True), FakeSource(live=True, ended=False)
    with Pipeline.from_session(session) as pipeline, pipeline.run(source) as run:
        run.start()
        source.feed(1)
        assert soon(lambda: session.pending == 1)
        source.feed(4)
        assert soon(lambda: run.stats.dropped == 4)
        session.let_go()
        assert next(run).frame.index == 0
        source.feed(1)
        assert next(run).frame.index == 5


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
