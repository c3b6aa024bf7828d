"""Two passes over a file: the same frames, tracks without gaps, and what a second pass cannot have."""

import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from streamdet.errors import InputError
from streamdet.pipeline import follow
from streamdet.refinement import Refinement
from streamdet.result import Result
from streamdet.stages import Stages
from streamdet.tracking.frame_tracker import load_tracker
from streamdet.types import Detections, Frame
from streamdet.video.source import Source, open_source

HIDDEN = range(20, 36)  # frames, longer than StreamSort goes on reporting


class Walker:
    """Stands for a detector: someone walks 2 px a frame, and is hidden for a while."""

    class_names = ("person",)
    batch = 1
    to_device = None

    def stream(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Detections]]:
        for frame in frames:
            boxes = np.array([box_in(frame.index)] if frame.index not in HIDDEN else [], np.float32).reshape(-1, 4)
            yield frame, Detections(boxes, np.full(len(boxes), 0.9), np.zeros(len(boxes)))  # type: ignore[arg-type]


def box_in(index: int) -> list[float]:
    return [10 + 2 * index, 20, 50 + 2 * index, 120]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 160, "yuv420p"
        for index in range(60):
            image = np.full((160, 320, 3), 4 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def two_passes(reopen: Callable[[], Source], stop_after: int = 1000) -> list[Result]:
    detector: Any = Walker()
    refined: list[Result] = []
    with reopen() as source, Stages() as stages:
        refinement = Refinement(source, reopen)
        for result in refinement(follow(source, detector, load_tracker("streamsort", 25), stages)):
            refined.append(result)
            if len(refined) == stop_after:
                refinement.stop()
    return refined


def test_who_was_hidden_is_where_the_way_leads_through(clip: Path) -> None:
    results = two_passes(partial(open_source, clip))
    assert [result.frame.index for result in results] == list(range(60))
    assert [result.tracks.ids.tolist() for result in results] == [[1]] * 60
    for index, result in enumerate(results):
        assert_allclose(result.tracks.boxes, [box_in(index)], atol=1)
        assert_allclose(result.frame.image.mean(), 4 * index, atol=3)
        assert_array_equal(result.tracks.detection_index, [-1 if index in HIDDEN else 0])
    assert len(results[-1].trails[1]) == 51  # two seconds


def test_every_third_frame_is_filled_at_its_own_time(clip: Path) -> None:
    results = two_passes(partial(open_source, clip, stride=3))
    assert [result.frame.index for result in results] == list(range(0, 60, 3))
    for result in results:
        assert_allclose(result.tracks.boxes, [box_in(result.frame.index)], atol=1)


def test_the_second_pass_can_be_stopped(clip: Path) -> None:
    results = two_passes(partial(open_source, clip), stop_after=5)
    assert 5 <= len(results) <= 6


def test_nothing_to_see_is_no_result(clip: Path) -> None:
    with open_source(clip) as source:
        assert list(Refinement(source, partial(open_source, clip))([])) == []


def test_a_source_without_an_end_is_refused() -> None:
    camera: Any = SimpleNamespace(info=SimpleNamespace(live=True), id="rtsp://cam/1")
    with pytest.raises(InputError, match="expected a source with an end to refine, found rtsp://cam/1, which is live"):
        Refinement(camera, lambda: camera)


def test_no_thread_is_left(clip: Path) -> None:
    before = set(threading.enumerate())
    two_passes(partial(open_source, clip), stop_after=3)
    assert set(threading.enumerate()) <= before
