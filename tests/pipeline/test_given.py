"""Runs over images that the caller has: what a run over a source gives."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from streamdet.errors import InputError
from streamdet.pipeline.pipeline import Pipeline
from streamdet.result import Result
from streamdet.types import UInt8Array
from tests.pipeline.fakes import FakeSession, FakeSource

COUNT = 12
IMAGES = np.stack([np.full((48, 64, 3), level, np.uint8) for level in range(COUNT)])


def results(source: Any, **options: Any) -> list[Result]:
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(source, **options) as run:
        return list(run)


def test_a_batch_and_an_iterator_give_what_a_source_gives() -> None:
    expected = results(FakeSource(COUNT))
    assert len(expected[-1].tracks) > 0
    for given in (IMAGES, list(IMAGES), iter(IMAGES)):
        found = results(given, fps=25)
        assert [each.tracks for each in found] == [each.tracks for each in expected]
        assert [each.frame.time for each in found] == [each.frame.time for each in expected]


@pytest.mark.parametrize(("classes", "class_id"), [("person", 0), (1, 1), (np.int64(1), 1), (["car"], 1)])
def test_one_class_needs_no_list(classes: Any, class_id: int) -> None:
    for result in results(IMAGES[:2], classes=classes):
        assert set(result.detections.class_ids.tolist()) == {class_id}


def test_tracks_of_a_run_know_their_classes() -> None:
    result = results(IMAGES)[-1]
    assert len(result.tracks["person"]) + len(result.tracks["car"]) == len(result.tracks)
    assert {detection.class_name for detection in result.detections} == {"person", "car"}


def test_what_can_be_read_again_is_refined() -> None:
    assert len(results(IMAGES, fps=25, refine=True)) == COUNT
    with pytest.raises(InputError, match="expected a file to refine, which can be read again, found images"):
        results(iter(IMAGES), fps=25, refine=True)


def test_results_ahead_of_an_error_come_first() -> None:
    def failing() -> Iterator[UInt8Array]:
        yield from IMAGES[:3]
        raise KeyError("a camera of the caller")

    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(failing()) as run:
        assert [next(run).frame.index for _ in range(3)] == [0, 1, 2]
        with pytest.raises(KeyError, match="a camera of the caller"):
            next(run)


def test_a_run_over_images_has_a_name_before_it_is_open() -> None:
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.runs(IMAGES, [IMAGES[0]]) as runs:
        assert [run.source_id for run in runs.all] == ["images", "images"]
        assert sorted(result.frame.index for _, result in runs) == sorted([0, *range(COUNT)])
