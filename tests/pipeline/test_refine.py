"""Two passes over a file: the same frames, tracks without gaps, and what a second pass cannot have."""

import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from streamdet.errors import InputError
from streamdet.masks import Masks
from streamdet.pipeline.line import TrackStep
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.refine import _TrackedFrame, refined_results
from streamdet.result import Result
from streamdet.tracking.frame_tracker import load_tracker
from streamdet.types import Detections, Frame
from streamdet.video.source import open_source
from tests.pipeline.fakes import PATIENCE_S, FakeSession, FakeSource, soon, write_clip
from trackers.appearance import AppearanceSamples

WriteOnnx = Callable[..., Path]
HIDDEN = range(20, 36)  # frames, longer than StreamSort goes on reporting


def box_in(index: int) -> list[float]:
    """Someone walks 2 px a frame."""
    return [10 + 2 * index, 20, 50 + 2 * index, 120]


def walker(frame: Frame) -> list[list[float]]:
    """Find the one who walks, who is hidden for a while."""
    return [] if frame.index in HIDDEN else [box_in(frame.index)]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", 60, hw=(160, 320), step=4)


def two_passes(clip: Path, stop_after: int = 1000, every: int = 1) -> list[Result]:
    refined: list[Result] = []
    with (
        Pipeline.from_session(FakeSession(find=walker)) as pipeline,
        pipeline.run(clip, refine=True, every=every) as run,
    ):
        for result in run:
            refined.append(result)
            if len(refined) == stop_after:
                run.stop()
    return refined


def test_who_was_hidden_is_where_the_way_leads_through(clip: Path) -> None:
    results = two_passes(clip)
    assert [result.frame.index for result in results] == list(range(60))
    assert [result.tracks.ids.tolist() for result in results] == [[1]] * 60
    for index, result in enumerate(results):
        assert_allclose(result.tracks.boxes, [box_in(index)], atol=1)
        assert_allclose(result.frame.image.mean(), 4 * index, atol=3)
        assert_array_equal(result.tracks.detection_index, [-1 if index in HIDDEN else 0])
    assert len(results[-1].trails[1]) == 51  # two seconds


def test_what_comes_back_with_another_appearance_is_another_object(tmp_path: Path, write_onnx: WriteOnnx) -> None:
    """The picture brightens: what was dark before it was hidden is bright after."""
    clip = write_clip(tmp_path / "clip.mp4", 230, hw=(160, 320))

    def find(frame: Frame) -> list[list[float]]:
        return [] if 105 <= frame.index < 125 else [[10.0 + frame.index, 20, 50 + frame.index, 120]]

    for reid, expected in ((None, {1}), (write_onnx(), {1, 2})):
        with (
            Pipeline.from_session(FakeSession(find=find)) as pipeline,
            pipeline.run(clip, refine=True, reid=reid) as run,
        ):
            ids = [result.tracks.ids.tolist() for result in run]
        assert {track_id for frame in ids for track_id in frame} == expected
        assert (ids[100], ids[130]) == ([1], [max(expected)])


def test_every_third_frame_is_filled_at_its_own_time(clip: Path) -> None:
    results = two_passes(clip, every=3)
    assert [result.frame.index for result in results] == list(range(0, 60, 3))
    for result in results:
        assert_allclose(result.tracks.boxes, [box_in(result.frame.index)], atol=1)


def test_the_second_pass_can_be_stopped_and_what_waits_still_comes(clip: Path) -> None:
    results = two_passes(clip, stop_after=5)
    assert [result.frame.index for result in results] == list(range(len(results)))
    assert 5 <= len(results) <= 12


def test_stopped_in_the_first_pass_what_was_read_is_refined(clip: Path) -> None:
    session = FakeSession(find=walker, held=True)
    with Pipeline.from_session(session) as pipeline, pipeline.run(clip, refine=True) as run:
        run.start()
        for _ in range(40):
            session.finish()
        run.stop()
        session.let_go()
        results = list(run)
    assert 40 <= len(results) < 60
    assert [result.tracks.ids.tolist() for result in results] == [[1]] * len(results)


def test_nothing_to_see_is_no_result(clip: Path) -> None:
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(clip, refine=True) as run:
        run.stop()
        assert list(run) == []


def test_a_source_without_an_end_is_refused() -> None:
    camera = FakeSource(live=True, name="rtsp://cam/1")
    with Pipeline.from_session(FakeSession()) as pipeline:
        message = "expected a source with an end to refine, found rtsp://cam/1, which is live"
        with pytest.raises(InputError, match=message):
            pipeline.run(camera, refine=True)
        assert camera.closed


def test_no_thread_is_left(clip: Path) -> None:
    before = set(threading.enumerate())
    two_passes(clip, stop_after=3)
    assert soon(lambda: {thread.name for thread in set(threading.enumerate()) - before} <= {"fake device"})


def test_a_source_that_cannot_be_read_again_is_refused_and_not_silently_empty() -> None:
    with Pipeline.from_session(FakeSession()) as pipeline:
        try:
            run = pipeline.run(FakeSource(20), refine=True)
        except InputError:
            return
        assert len(list(run)) == 20


def test_looking_at_the_source_in_the_second_pass_does_not_stop_it(tmp_path: Path) -> None:
    session = FakeSession(held=True)
    with (
        Pipeline.from_session(session) as pipeline,
        pipeline.run(write_clip(tmp_path / "clip.mp4", 60), refine=True) as run,
    ):
        run.start()
        for _ in range(40):
            session.finish()
        run.stop()
        session.let_go()
        first = next(run)
        assert run.source.info.width == 64
        rest = list(run)
    assert first.frame.index == 0
    assert len(rest) + 1 >= 40


def test_a_stop_between_the_passes_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    between, go_on = threading.Event(), threading.Event()
    opened: list[Any] = []

    def opening(spec: Any, **options: Any) -> Any:
        if opened:
            between.set()
            go_on.wait()
        opened.append(open_source(spec, **options))
        return opened[-1]

    monkeypatch.setattr("streamdet.pipeline.opening.open_source", opening)
    clip = write_clip(tmp_path / "clip.mp4", 60)
    with Pipeline.from_session(FakeSession()) as pipeline, pipeline.run(clip, refine=True) as run:
        run.start()
        assert between.wait(PATIENCE_S)
        run.stop()
        go_on.set()
        assert len(list(run)) < 60


def test_key_points_and_rotated_boxes_are_there_where_the_object_was_hidden() -> None:
    step, frames, results = TrackStep(load_tracker("streamsort", 25), ["person"]), [], []
    for index in range(60):
        frames.append(Frame(index, index, Fraction(1, 25), np.zeros((160, 320, 3), np.uint8), "clip", 0.0))
        boxes = np.array([] if index in HIDDEN else [box_in(index)], np.float32).reshape(-1, 4)
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        points = np.concatenate([middle, np.full((len(boxes), 1), 0.8)], axis=1)[:, None]
        rotated = np.hstack([middle, np.tile([100, 40, np.pi / 2], (len(boxes), 1))])
        ones = np.ones(len(boxes))
        found = Detections(boxes, ones, 0 * ones, ["person"], keypoints=points, rotated=rotated)
        results.append(step(frames[-1], found))
    first_pass = [_TrackedFrame.from_result(result) for result in results]
    for index, result in enumerate(refined_results(frames, first_pass, 25.0, AppearanceSamples())):
        assert result.tracks.ids.tolist() == [1]
        assert result.tracks.keypoints is not None and result.tracks.rotated is not None
        x1, y1, x2, y2 = box_in(index)
        assert_allclose(result.tracks.keypoints[0, 0], [(x1 + x2) / 2, (y1 + y2) / 2, 0.8], atol=1)
        assert_allclose(result.tracks.rotated[0], [(x1 + x2) / 2, (y1 + y2) / 2, 100, 40, np.pi / 2], atol=1)


def test_masks_are_kept_in_a_thirtieth_of_their_memory_and_come_back_whole() -> None:
    frame = Frame(0, 0, Fraction(1, 25), np.zeros((480, 640, 3), np.uint8), "clip", 0.0)
    boxes = [[x, 100, x + 40, 200] for x in range(0, 500, 50)]
    cells = np.random.default_rng(0).integers(0, 256, (10, 25, 10))
    values = np.zeros((10, 120, 160), np.uint8)
    for grid, seen, (x, *_) in zip(values, cells, boxes, strict=True):
        grid[25:50, x // 4 : x // 4 + 10] = seen
    masks = Masks(values, boxes, [0, 0, 640, 480], (480, 640))
    found = Detections(boxes, [0.9] * 10, [0] * 10, ["person"], masks=masks)
    result = TrackStep(load_tracker("streamsort", 25), ["person"])(frame, found)
    kept = _TrackedFrame.from_result(result)
    assert len(pickle.dumps(kept)) < len(pickle.dumps(found)) / 30
    (refined,) = refined_results([frame], [kept], 25.0, AppearanceSamples())
    assert refined.detections == found
    empty = replace(result, detections=found[:0], tracks=result.tracks[:0])
    (nothing,) = refined_results([frame], [_TrackedFrame.from_result(empty)], 25.0, AppearanceSamples())
    assert nothing.detections == found[:0]
