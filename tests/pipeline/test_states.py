"""States of runs: taken in mid-run, and gone on with as if nothing had been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamdet.pipeline.pipeline import Pipeline
from streamdet.types import Frame, UInt8Array
from tests.pipeline.fakes import FakeSession, FakeSource
from tests.pipeline.outcomes import alone, outcome

pytestmark = pytest.mark.usefixtures("no_thread_survives")


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
