"""What tests compare of results, and what a run gives that has the device to itself."""

from __future__ import annotations

from functools import cache
from typing import Any

from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.result import Result
from tests.pipeline.fakes import FakeSession, FakeSource

Outcome = tuple[int, list[int], list[list[float]], list[int]]


def outcome(result: Any) -> Outcome:
    """Return the parts of a result that tests compare: frame index, ids, boxes, class ids."""
    tracks = result.tracks
    return result.frame.index, tracks.ids.tolist(), tracks.boxes.tolist(), tracks.class_ids.tolist()


def outcomes(results: list[tuple[Run, Result]], run: Run) -> list[Outcome]:
    return [outcome(result) for each, result in results if each is run]


@cache
def alone(count: int) -> list[Outcome]:
    """Return what a run gives that has the device to itself."""
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(FakeSource(count)) as run:
        return [outcome(result) for result in run]
